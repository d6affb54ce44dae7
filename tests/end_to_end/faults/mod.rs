//! Behaviour under faults: hostile peers, crashes, files that change under a seeder, floods.
//!
//! Random tests print `MTORRENT_TEST_SEED`; the same seed in the environment repeats them.

mod crashes;
mod floods;
mod large;
mod peers;
mod seeding;

const LOOPBACK: &str = "127.0.0.1:0";
