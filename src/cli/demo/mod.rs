//! stub
use super::exit::{CommandResult, Exit};
/// stub
pub fn run(_: &super::resolved::Demo, _: &super::output::Output) -> CommandResult {
    Ok(Exit::Done)
}
