//! Endpoints, one an argument.

use super::DecodeError;
use super::arguments::Arguments;
use super::list::{Item, List};
use crate::ids::Endpoint;
use crate::limits::ARGUMENTS_MAX;

/// A list of endpoints.
pub type Endpoints<'a> = List<'a, Endpoint>;

impl Item for Endpoint {
    type Wire<'a> = Arguments<'a>;

    fn take(wire: &mut Self::Wire<'_>) -> Option<Endpoint> {
        // Only the end is an error here: the endpoints were checked by `decode`.
        wire.endpoint().ok()
    }

    fn count(mut wire: Self::Wire<'_>) -> usize {
        std::iter::from_fn(|| Self::take(&mut wire)).count()
    }
}

impl<'a> Endpoints<'a> {
    /// Reads them from all the arguments that are left.
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
        Ok(Self::from_wire(arguments))
    }
}
