//! Jobs as they are published, and how they ended.

use crate::support::{Sandbox, set_mode, stdout_of};
use octo_core::base::paths::Places;
use octo_core::tentacle::job::{JobDirectory, NewJob, Origin, Published, Pusher};
use octo_core::{JobId, PusherName, Thumbprint};

pub(crate) fn places(sandbox: &Sandbox) -> Places {
    Places { config: sandbox.config(""), state: sandbox.state("") }
}

/// What is published, but for its id; nobody has started it then.
pub(crate) struct Draft<'a> {
    pub(crate) spec: &'a [u8],
    pub(crate) script: Option<&'a [u8]>,
    pub(crate) stdin: Option<&'a [u8]>,
    pub(crate) secrets: Option<&'a [u8]>,
    pub(crate) pusher: Option<Pusher>,
    pub(crate) received: String,
}

impl<'a> Draft<'a> {
    /// A job by hand.
    pub(crate) fn of(spec: &'a [u8]) -> Draft<'a> {
        let received = octo_core::base::cli::utc_now();
        Draft { spec, script: None, stdin: None, secrets: None, pusher: None, received }
    }

    /// The job of the pusher that [`trust`] lets in.
    pub(crate) fn pushed(spec: &'a str) -> Draft<'a> {
        let pusher = Pusher {
            thumbprint: thumbprint(),
            name: PusherName::parse("ci").expect("a name"),
            address: Some([10, 1, 2, 3].into()),
        };
        Draft { pusher: Some(pusher), ..Draft::of(spec.as_bytes()) }
    }

    pub(crate) fn publish(self, sandbox: &Sandbox) -> JobDirectory {
        let Draft { spec, script, stdin, secrets, pusher, received } = self;
        let id = JobId::generate().expect("an id");
        let origin = Origin { pusher, by: "me@laptop".into(), received };
        let new = NewJob { id: &id, origin: &origin, request: None, spec, script, stdin, secrets };
        match new.publish(&places(sandbox)).expect("publish") {
            Published::New(job) => job,
            other => panic!("{other:?}"),
        }
    }

    /// Publishes it as a listener would, and brings it forward.
    pub(crate) fn submit(self, sandbox: &Sandbox) -> JobDirectory {
        let job = self.publish(sandbox);
        sandbox.tool("octo-exec").arg("job").arg(job.path()).assert().success();
        job
    }
}

pub(crate) fn submit(sandbox: &Sandbox, spec: &str) -> JobDirectory {
    Draft::pushed(spec).submit(sandbox)
}

pub(crate) fn thumbprint() -> Thumbprint {
    Thumbprint::of_certificate(b"a pusher")
}

/// One line, for the pusher `ci`.
pub(crate) fn trust(sandbox: &Sandbox, options: &str) {
    let path = sandbox.write("config/trusted", format!("{} ci {options}\n", thumbprint()));
    set_mode(&path, 0o644);
}

pub(crate) fn end(job: &JobDirectory) -> (String, u8, String) {
    let end = job.end().expect("readable").expect("an end");
    (end.kind.word().to_string(), end.kind.code(), end.reason.unwrap_or_default())
}

pub(crate) fn own_user() -> String {
    let mut id = assert_cmd::Command::new("id");
    stdout_of(id.arg("-un")).trim().to_string()
}
