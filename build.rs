//! How the tools are linked: what unwinds the stack comes from an archive, where the
//! compiler has it. As a library, libgcc_s.so.1, it takes 0.1 ms of each start.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=../build.rs");
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") != "linux" || target("ENV") != "gnu" {
        return;
    }
    let linker = std::env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".into());
    let asked = Command::new(linker).arg("-print-file-name=libgcc_eh.a").output();
    let found = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    // What it doesn't find it gives back as a bare name.
    if let Some(directory) = found.ok().as_deref().and_then(|path| Path::new(path).parent())
        && directory.is_absolute()
    {
        println!("cargo:rustc-link-search=native={}", directory.display());
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
}
