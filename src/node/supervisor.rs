//! Core 0's main task: follows the instructions of plain threads until the node is closed.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use super::announcers::Announcers;
use super::context::NodeContext;
use super::download_supervisor::DownloadSupervisor;
use super::file_watch::FileWatch;
use super::instruction::Instruction;
use super::mover;
use super::share_supervisor::ShareSupervisor;
use crate::limits::CLOSE_TIMEOUT;
use crate::runtime::{deadline, spawn, spawn_vital};

/// The parts of core 0.
pub(super) struct Supervisor {
    context: Rc<NodeContext>,
    announcers: Rc<Announcers>,
    downloads: Rc<DownloadSupervisor>,
    watch: Rc<FileWatch>,
}

impl Supervisor {
    /// Creates the parts; no task runs yet.
    pub(super) fn new(context: Rc<NodeContext>) -> Self {
        let announcers = Announcers::new(context.clone());
        let downloads = DownloadSupervisor::new(context.clone(), announcers.clone());
        let shares = ShareSupervisor::new(context.clone(), announcers.clone());
        let watch = FileWatch::new(context.clone(), downloads.clone(), shares);
        Self { context, announcers, downloads, watch }
    }

    /// Follows instructions until the node is closed.
    pub(super) async fn run(self, instructions: async_channel::Receiver<Instruction>) {
        spawn_vital("watch", self.watch.clone().run());
        spawn_vital("saving", self.context.clone().keep_saved());
        while let Ok(instruction) = instructions.recv().await {
            match instruction {
                Instruction::Get(entry) => self.downloads.start(entry),
                Instruction::Share(entry) => self.announcers.announce(&entry),
                Instruction::Unshare(info_hash) => self.announcers.withdraw_and_drop_unused(info_hash),
                Instruction::GiveUp(waiting) => self.downloads.give_up(&waiting),
                Instruction::Move(order) => spawn("move", mover::move_share(self.context.clone(), order)),
                Instruction::Show(question) => {
                    question.answer(&self.downloads.views(), || self.announcers.records());
                }
                Instruction::Close => break,
            }
        }
        self.close().await;
    }

    /// Ends downloads at a point from which they can resume, and withdraws all files, in bounded time.
    async fn close(&self) {
        // Stops the threads that hash shares.
        self.context.lists.lock().shares.iter().for_each(|share| share.removed.store(true, Ordering::Relaxed));
        if deadline(CLOSE_TIMEOUT, self.downloads.end_all()).await.is_err() {
            log::warn!("a download did not end in time");
        }
        if deadline(CLOSE_TIMEOUT, self.announcers.withdraw_all()).await.is_err() {
            log::warn!("the trackers did not answer in time; this client's entries there will expire");
        }
    }
}
