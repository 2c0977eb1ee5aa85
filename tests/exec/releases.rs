//! What jobs released: who looks, and whose the copies are.

use crate::jobs::own_user;
use crate::sandbox;
use crate::setup::{is, is_sound, own, setup};
use crate::support::{NOBODY, Sandbox, can_inject, is_root, set_mode, stdout_of, wait_for};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Who listens reads the copies of what is released, also once that is another user.
#[test]
fn what_is_released_goes_with_the_listener() {
    let sandbox = sandbox();
    let base = sandbox.path("srv");
    std::fs::create_dir_all(base.join("shop")).expect("mkdir");
    let text = format!(
        "cd {0}/shop; echo x >journal; ln -s releases/1.0 current; echo releases={0}/shop >$OCTO_OUTPUT",
        base.display()
    );
    sandbox.tool("octo-exec").args(["run", "-c", &text]).assert().success();
    let user = own_user();
    let directory = format!("releases/{user}");
    let copies = std::fs::read_dir(sandbox.state(&directory)).expect("a directory");
    let names: Vec<_> = copies.map(|copy| copy.expect("read").file_name()).collect();
    let [name] = &names[..] else { panic!("{names:?}") };
    let copy = format!("{directory}/{}", name.to_str().expect("a name"));
    let (uid, gid) = own();
    let is_of = |gid| {
        for (name, mode) in [("releases", 0o750), (&directory[..], 0o750), (&copy[..], 0o640)] {
            assert_eq!(is(&sandbox, name), (uid, gid, mode), "{name}");
        }
    };
    is_of(gid);
    setup(&sandbox, &[]);
    assert_eq!(setup(&sandbox, &[]), "");
    is_sound(&sandbox, "one user");
    set_mode(&sandbox.state(&copy), 0o644);
    let check = sandbox.tool("octo-keys").arg("check").assert().code(78);
    let said = String::from_utf8_lossy(&check.get_output().stderr).into_owned();
    assert!(said.contains("has mode 0644, not 0640"), "{said}");
    setup(&sandbox, &[]);
    is_of(gid);
    if is_root("what_is_released_goes_with_the_listener") {
        setup(&sandbox, &["--listener", "nobody"]);
        is_of(NOBODY);
        is_sound(&sandbox, "listener nobody");
        sandbox.tool("octo-exec").args(["run", "-c", &text]).assert().success();
        is_of(NOBODY);
    }
}

/// It does what octo-exec tells it, or nothing.
#[test]
fn who_looks_is_told_by_standard_input_and_opens_nothing_else() {
    let sandbox = sandbox();
    let look = |input: &[u8], code: i32| {
        let mut command = sandbox.tool("octo-exec");
        let assert = command.arg("look").write_stdin(input).assert().code(code);
        String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
    };
    let shop = sandbox.write("srv/shop/journal", "x").with_file_name("");
    sandbox.write("srv/shop/meta/now", "octo-release 1\n");
    std::os::unix::fs::symlink("releases/../../../etc", shop.join("current")).expect("symlink");
    let (uid, gid) = own();
    let shop = shop.display();
    let message = format!("octo-enter/1|{uid}|{gid}||no-new-privileges|2|0|{shop}|{shop}/none|");
    let said = look(message.replace('|', "\0").as_bytes(), 0);
    let journal = said.lines().nth(1).expect("a line");
    assert!(journal.starts_with("journal ") && journal.contains(" 1 "), "{said}");
    let rest = said.replacen(&format!("{journal}\n"), "", 1);
    let now = "now octo-release%201%0A";
    assert_eq!(rest, format!("directory 0\nastray yes\n{now}\nover 0\ndirectory 1\nover 1\n"));
    assert_eq!(look(b"hello\n", 65), "");
    assert_eq!(look(b"", 65), "");
    assert_eq!(look(message.replace("|2|0|", "|1|0|").replace('|', "\0").as_bytes(), 65), "");
    sandbox.tool("octo-exec").args(["look", "/srv/shop"]).assert().code(64);
}

/// The only copy that there is, as text.
fn copy(sandbox: &Sandbox) -> String {
    let directory = sandbox.state(&format!("releases/{}", own_user()));
    let copies = std::fs::read_dir(directory).expect("a directory");
    let copies: Vec<PathBuf> = copies.map(|copy| copy.expect("read").path()).collect();
    let [copy] = &copies[..] else { panic!("{copies:?}") };
    std::fs::read_to_string(copy).expect("read")
}

/// Below the directory is a file system that stands still for hours: the job ends as it did,
/// says that it wasn't looked at, and what is known is known to be old.
#[test]
fn a_look_that_stands_still_holds_up_no_end() {
    let test = "a_look_that_stands_still_holds_up_no_end";
    if !can_inject(test) {
        return;
    }
    let sandbox = sandbox();
    sandbox.write("srv/shop/journal", "x");
    let command =
        format!("echo releases={} >$OCTO_OUTPUT; exit 7", sandbox.path("srv/shop").display());
    let end = sandbox.path("end");
    sandbox.tool("octo-exec").args(["run", "-c", &command]).assert().code(7);
    assert!(!copy(&sandbox).contains("failed") && copy(&sandbox).contains("\nbehind yes\n"));
    let journal = "octo-release 1\napplication shop\njournal 1\nversion 1.0\n";
    sandbox.write("srv/shop/meta/now", journal);
    sandbox.tool("octo-exec").args(["run", "-c", &command]).assert().code(7);
    assert!(!copy(&sandbox).contains("behind"), "{}", copy(&sandbox));
    // strace lets nothing end what it delays: it is ended as soon as there is an end.
    let mut strace = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=faccessat2"])
        .args(["-e", "inject=faccessat2:delay_enter=7200000000"])
        .arg(sandbox.program("octo-exec"))
        .arg("--config")
        .arg(sandbox.config(""))
        .arg("--state")
        .arg(sandbox.state(""))
        .args(["run", "--end"])
        .arg(&end)
        .args(["-c", &command])
        .stderr(Stdio::null())
        .spawn()
        .expect("strace");
    let said = || stdout_of(sandbox.tool("octo-exec").arg("end").arg(&end));
    // Until then it is unknown.
    wait_for("the end", || end.exists() && said().starts_with("exit\t"));
    let _ = strace.kill();
    strace.wait().expect("strace ends");
    let said = said();
    assert!(said.starts_with("exit\t7\t7\t") && said.contains("srv/shop: no answer"), "{said}");
    let copy = copy(&sandbox);
    assert!(copy.contains("\nbehind yes\n") && copy.contains("\nversion 1.0\n"), "{copy}");
}
