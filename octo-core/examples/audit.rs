//! How fast the audit log is written and checked:
//! `cargo run --release -p octo-core --example audit [DIR] [MEGABYTES]`

use octo_core::base::cli::print;
use octo_core::base::error::Result;
use octo_core::base::paths::Places;
use octo_core::tentacle::audit::Audit;
use std::path::PathBuf;
use std::time::Instant;

/// An event as a run writes it.
const FIELDS: &[(&str, &str)] = &[
    ("name", "ci-octopus"),
    ("thumbprint", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    ("address", "10.0.0.11:43210"),
    ("line", "3"),
    ("job", "20260131T235959-abcdefghijklm"),
];

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let state = PathBuf::from(arguments.next().unwrap_or_else(|| "/tmp/octo-audit".into()));
    let megabytes: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(200);
    let audit = Audit::at(&Places { config: state.clone(), state });

    for threads in [1, 8] {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..200).try_for_each(|_| audit.append("run", FIELDS).map(drop)));
            }
        });
        let rate = f64::from(200 * threads) / begun.elapsed().as_secs_f64();
        print(&format!("append, {threads} threads: {rate:.0} events/s\n"))?;
    }
    let batch = vec![("run", FIELDS); 1000];
    let mut head = audit.append("run", FIELDS)?;
    while audit.path().metadata().is_ok_and(|m| m.len() < megabytes << 20) {
        head = audit.append_all(&batch)?;
    }
    let begun = Instant::now();
    let found = audit.verify(&[head])?;
    let rate = found.bytes as f64 / begun.elapsed().as_secs_f64() / 1e6;
    print(&format!(
        "check: {} lines, {} bytes, {rate:.0} MB/s, {} faults\n",
        found.lines,
        found.bytes,
        found.faults.len()
    ))
}
