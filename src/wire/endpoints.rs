//! Lists of endpoints, one per argument.

use super::DecodeError;
use super::arguments::Arguments;
use super::list::{Item, List};
use crate::ids::Endpoint;
use crate::limits::ARGUMENTS_MAX;

/// A list of endpoints.
pub type Endpoints<'a> = List<'a, Endpoint>;

impl Item for Endpoint {
    fn take(bytes: &mut &[u8]) -> Option<Endpoint> {
        let mut arguments = Arguments::new(bytes);
        // Only the end is an error here: `decode` has validated the endpoints.
        let endpoint = arguments.endpoint().ok()?;
        *bytes = arguments.rest();
        Some(endpoint)
    }

    fn count(mut bytes: &[u8]) -> usize {
        std::iter::from_fn(|| Self::take(&mut bytes)).count()
    }
}

impl<'a> Endpoints<'a> {
    /// Reads the list from all remaining arguments.
    pub(super) fn decode(arguments: Arguments<'a>) -> Result<Self, DecodeError> {
        let mut unchecked = arguments;
        let mut count = 0;
        while !unchecked.is_empty() {
            unchecked.endpoint()?;
            count += 1;
        }
        if count > ARGUMENTS_MAX {
            return Err(DecodeError::BadArguments("there are too many endpoints"));
        }
        Ok(Self::from_wire(arguments.rest()))
    }
}
