//! The routes of a site.

use std::fmt;

use super::event_streams::EventSource;
use super::own_host::OwnHost;
use super::request::Request;
use super::response::Response;

/// What a handler returns.
pub(crate) enum Answer {
    /// An answer in one piece.
    Whole(Response),
    /// A stream of events, which lasts until the source or the reader ends it.
    Events(Box<dyn EventSource>),
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Whole(response)
    }
}

type Handler = Box<dyn Fn(&Request) -> Answer + Send + Sync>;

/// A table of routes: exact paths with their handlers.
#[derive(Default)]
pub(crate) struct Site {
    routes: Vec<Route>,
    own_host: OwnHost,
}

struct Route {
    path: &'static str,
    takes_any_host: bool,
    handler: Handler,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.routes.iter().map(|route| route.path)).finish()
    }
}

impl Site {
    /// A site without a route.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a route for people: its Host header must name this machine.
    pub(crate) fn page(self, path: &'static str, handler: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        self.route(path, false, Box::new(handler))
    }

    /// Adds a route for programs, which reach this machine by any name: it must show nothing private.
    pub(crate) fn machine(
        self,
        path: &'static str,
        handler: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        self.route(path, true, Box::new(handler))
    }

    fn route(mut self, path: &'static str, takes_any_host: bool, handler: Handler) -> Self {
        self.routes.push(Route { path, takes_any_host, handler });
        self
    }

    /// Answers a request.
    pub(super) fn answer(&self, request: &Request) -> Answer {
        let Some(route) = self.routes.iter().find(|route| route.path == request.path) else {
            let paths: Vec<&str> = self.routes.iter().map(|route| route.path).collect();
            return Response::refusal(404, &format!("there is no such page; there are {}", paths.join(", "))).into();
        };
        let is_ours = request.host.as_deref().is_none_or(|host| self.own_host.accepts(host));
        if !route.takes_any_host && !is_ours {
            let why = format!(
                "this page is shown under an IP address of this machine, a name without a dot or {}, so that no other \
                 site can read it by a name of its own",
                self.own_host.name()
            );
            return Response::refusal(421, &why).into();
        }
        (route.handler)(request)
    }
}
