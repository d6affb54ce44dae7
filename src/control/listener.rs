//! Who gives commands, and who receives their answers and the events of the client.

use crate::console::exit::{CommandError, Exit};
use crate::console::output_event::OutputEvent;

/// The origin of a command, so that its answers go back there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Origin(pub u64);

impl Origin {
    /// The terminal or pipe of this process. What an earlier run left behind counts as asked for here.
    pub(crate) const FRONT_END: Self = Self(0);
}

/// Receives answers and events for one origin. No method waits for a reader, because the interpreter serves all
/// origins. An error means that the output of this process is broken.
pub(crate) trait Listener: std::fmt::Debug {
    /// Takes the answer to the command that is being executed.
    fn answer(&self, event: &OutputEvent<'_>) -> Result<(), CommandError>;

    /// Takes a later result of a command of this origin.
    fn result(&self, event: &OutputEvent<'_>) -> Result<(), CommandError>;

    /// Takes an event that no command of this origin caused.
    fn event(&self, event: &OutputEvent<'_>) -> Result<(), CommandError>;

    /// Takes the reason why a command, perhaps an earlier one, failed.
    fn refuse(&self, error: &CommandError);

    /// Takes the end of the command, so that the next one may be given.
    fn end(&self, exit: Exit);

    /// Whether a person reads the answers, who can be asked and who has seen the failures.
    fn is_terminal(&self) -> bool {
        false
    }

    /// Whether a `share` ends when the file is hashed, unless the command says otherwise.
    fn waits_by_default(&self) -> bool {
        false
    }
}
