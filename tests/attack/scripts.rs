//! What a job's own user tries: ways out of its directory, and into the jobs of others.

use crate::separated::{Separated, accounts, command, job_id, separated};
use crate::support::{NOBODY, impossible, wait_for};
use crate::victims::{SECRET, Victims, assert_hidden_from_the_listener};
use octo_core::tentacle::spec::{Script, Spec, secrets};
use octo_core::{Digest, JobId, VariableName};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::os::unix::fs::chown;

/// A script that does this, says that it did, and waits to be told to end.
fn waiting(here: &Separated, job: &JobId, text: &str) -> Vec<u8> {
    let mark = here.mark(job).display().to_string();
    command(&format!("{text}\necho ran >>{mark}; while [ ! -e {mark}.go ]; do sleep 0.02; done"))
}

fn let_end(here: &Separated, job: &JobId) -> octo_core::tentacle::job::End {
    std::fs::write(here.mark(job).with_extension("go"), "").expect("write");
    here.end_of(job)
}

/// Artifacts are copied by root, when the job is over.
#[test]
fn an_artifact_that_is_a_way_to_a_file_of_roots_is_not_kept() {
    let test = "an_artifact_that_is_a_way_to_a_file_of_roots_is_not_kept";
    let Some(here) = separated(test) else { return };
    let victims = Victims::new(&here.sandbox);
    let job = job_id();
    let script = format!(
        "cd \"$OCTO_ARTIFACTS\"; ln -s {} link; ln -s {} way; ln -s ../secrets up; mkfifo pipe; \
         mkdir below; echo mine >below/file; echo mine >mine; ln -s mine own-link; ln {} hard",
        victims.secret().display(),
        victims.directory().display(),
        victims.secret().display(),
    );
    here.begin(&job, &waiting(&here, &job, &script));
    let made = here.job(&job).file("made");
    // What protected_hardlinks forbids where it is set, root lays.
    let _ = std::fs::hard_link(victims.secret(), made.join("hard"));
    let has_device = match mknodat(
        CWD,
        made.join("device"),
        FileType::CharacterDevice,
        Mode::from_raw_mode(0o666),
        rustix::fs::makedev(1, 5),
    ) {
        Ok(()) => true,
        Err(_) => {
            impossible(test, "may not make a device");
            false
        }
    };
    let end = let_end(&here, &job);
    let reason = end.reason.clone().unwrap_or_default();
    assert_eq!(end.kind.code(), 0, "{reason}");
    for (name, why) in [
        ("link", "it is a link"),
        ("way", "it is a link"),
        ("up", "it is a link"),
        ("own-link", "it is a link"),
        ("pipe", "it is not a regular file"),
        ("below", "it is not a regular file"),
        ("hard", "it is another user's"),
        ("device", "it is not a regular file"),
    ] {
        let said = reason.contains(&format!("its artifact {name} is not kept: {why}"));
        assert!(said || (name == "device" && !has_device), "{name}: {reason}");
    }
    let kept = std::fs::read_dir(here.job(&job).file("artifacts")).expect("artifacts");
    let kept: Vec<_> = kept.flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(kept, ["mine"]);
    victims.assert_untouched();
    assert_hidden_from_the_listener(&here);
}

/// All of them lie in a directory of root's, which a script can't change.
#[test]
fn a_script_swaps_nothing_of_its_directory() {
    let Some(here) = separated("a_script_swaps_nothing_of_its_directory") else { return };
    let victims = Victims::new(&here.sandbox);
    let secret = victims.secret().display().to_string();
    let job = job_id();
    let script = format!(
        "cd \"$OCTO_ARTIFACTS/..\" || exit 9
        for name in values made work spec script log started lock end artifacts cancel grant; do
            rm -f $name 2>/dev/null && test ! -e $name && test $name = end && continue
            mv $name x 2>/dev/null && echo moved $name
            ln -s {secret} $name 2>/dev/null && test -L $name && echo laid $name
            ln {secret} $name.x 2>/dev/null && echo linked $name
        done
        for name in spec script log started lock grant request; do
            {{ echo x >>$name; }} 2>/dev/null && echo wrote $name
        done
        for name in made/.. work/..; do touch $name/new 2>/dev/null && echo made $name; done
        rm -rf work made 2>/dev/null; echo A=1 >>values; ln -s {secret} values.new 2>/dev/null
        cat {secret} 2>/dev/null; true"
    );
    here.begin(&job, &waiting(&here, &job, &script));
    let end = let_end(&here, &job);
    assert_eq!(end.kind.code(), 0, "{end:?}");
    assert_eq!(std::fs::read_to_string(here.job(&job).file("log")).expect("a log"), "");
    let outputs = std::fs::read_to_string(here.job(&job).file("outputs")).expect("values");
    assert_eq!(outputs, "A=1\n");
    victims.assert_untouched();
}

/// Either is enough: here the listener is nobody, in the group of the user for jobs.
#[test]
fn a_job_is_not_run_as_the_listeners_user_or_group() {
    let Some(here) = separated("a_job_is_not_run_as_the_listeners_user_or_group") else { return };
    let gid = here.user.gid;
    assert_ne!(gid, NOBODY);
    chown(here.places.spool(), Some(NOBODY), Some(gid)).expect("chown");
    for user in ["nobody", &here.user.name] {
        here.trust(&[(&here.ci, &format!("ci user={user}"))]);
        let job = job_id();
        let end = here.hand_over(&job, &here.request(&job, &here.marking(&job)));
        let said = format!("user {user} is the listener's, or in its group {gid}");
        here.assert_refused(&job, &end, 78, &said);
    }
}

/// Whoever took a listener over feeds a job nothing but what its pusher has signed.
#[test]
fn a_standard_input_that_nobody_signed_is_refused() {
    let Some(here) = separated("a_standard_input_that_nobody_signed_is_refused") else { return };
    let mut spec = Spec::of(Script::Command("cat".into()));
    spec.stdin = Some((Digest::of(b"signed"), 6));
    let spec = spec.encode();
    for other in [&b"forged"[..], b"", b"signe", b"signed\n"] {
        let job = job_id();
        let mut parts = here.request(&job, &spec);
        parts.stdin = other.to_vec();
        let end = here.hand_over(&job, &parts);
        here.assert_refused(&job, &end, 65, "the standard input is not that of its spec");
    }
    // Nor one that was asked for to read nothing.
    let job = job_id();
    let mut parts = here.request(&job, &command("cat"));
    parts.stdin = b"forged".to_vec();
    let end = here.hand_over(&job, &parts);
    here.assert_refused(&job, &end, 65, "the standard input is not that of its spec");
    let job = job_id();
    let mut parts = here.request(&job, &spec);
    parts.stdin = b"signed".to_vec();
    assert_eq!(here.hand_over(&job, &parts).kind.code(), 0);
    assert_eq!(std::fs::read_to_string(here.job(&job).file("log")).expect("a log"), "signed");
}

#[test]
fn a_job_reads_nothing_of_a_job_of_another_user() {
    let test = "a_job_reads_nothing_of_a_job_of_another_user";
    let Some(here) = separated(test) else { return };
    let Some(other) = accounts().into_iter().nth(1) else {
        return impossible(test, "one user for jobs");
    };
    // Its script, its secrets and its variables have the secret.
    let owner = crate::separated::Pusher::new(&here.sandbox, "owner");
    let ci = format!("ci user={}", here.user.name);
    here.trust(&[(&here.ci, &ci), (&owner, &format!("owner user={}", other.name))]);
    let victim = job_id();
    let ready = here.sandbox.path("ready");
    std::fs::create_dir(&ready).expect("mkdir");
    chown(&ready, Some(other.uid), None).expect("chown");
    let name = VariableName::parse("TOKEN").expect("a name");
    let body = secrets::encode_with(&[1; 32], &[(name.clone(), SECRET.as_bytes().to_vec())]);
    let script = format!(
        "#!/bin/sh\n# {SECRET}\necho $TOKEN >\"$OCTO_ARTIFACTS/file\"; echo $TOKEN >kept
        cat >input
        touch {0}/up; while [ ! -e {0}/go ]; do sleep 0.02; done\n",
        ready.display()
    );
    let digest = Digest::of(script.as_bytes());
    let mut spec = Spec::of(Script::Sent { digest, name: "s".into() });
    (spec.secrets, spec.secrets_digest) = (vec![name], Some(Digest::of(&body)));
    spec.stdin = Some((Digest::of(SECRET.as_bytes()), SECRET.len() as u64));
    let spec = spec.encode();
    let asks = octo_core::tentacle::statement::Asks::Request(Digest::of(&spec));
    let statement = owner.statement(here.tentacle, &victim, asks).encode();
    let mut parts = owner.sign(statement, &spec);
    (parts.script, parts.secrets, parts.stdin) = (script.into_bytes(), body, SECRET.into());
    here.spool(victim.as_str(), &parts.bytes());
    here.ring();
    wait_for("the victim", || ready.join("up").exists());

    let job = job_id();
    let look = format!(
        "cd \"$OCTO_ARTIFACTS/../..\"; ls . {victim} {victim}/made {victim}/work 2>/dev/null
        for name in script stdin secrets log made/file work/kept work/input values spec grant request; do
            cat {victim}/$name 2>/dev/null && echo read $name
        done
        cd ..; cat spool/{victim} audit.log 2>/dev/null; ls spool listen locks refused 2>/dev/null
        cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep TOKEN; true"
    );
    let end = here.hand_over(&job, &here.request(&job, &command(&look)));
    assert_eq!(end.kind.code(), 0, "{end:?}");
    assert_eq!(std::fs::read_to_string(here.job(&job).file("log")).expect("a log"), "");
    // Nor does the listener's user, but for what it has spooled itself.
    here.listener_does(&format!("rm spool/{victim}"));
    assert_hidden_from_the_listener(&here);
    std::fs::write(ready.join("go"), "").expect("write");
    assert_eq!(here.end_of(&victim).kind.code(), 0);
}
