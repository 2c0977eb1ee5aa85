//! STATE/releases: whose the copies are of what jobs released.

use crate::jobs::own_user;
use crate::sandbox;
use crate::setup::{is, is_sound, own, setup};
use crate::support::{NOBODY, is_root, set_mode};

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
