//! What a cgroup limits: the files of its controllers, and the properties of a scope.

use octo_core::base::error::describe;
use octo_core::trust::Resources;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// The period of cpu.max, in microseconds: the kernel's own default.
const PERIOD: u64 = 100_000;

/// A limit of a trust line, and what says so to the kernel.
struct Limit {
    /// The option of the line.
    option: &'static str,
    controller: &'static str,
    /// The files, and what goes into each. The first has to be there.
    files: Vec<(&'static str, String)>,
    /// The same as properties (systemd.resource-control(5)).
    properties: Vec<String>,
}

fn limits(resources: Resources) -> Vec<Limit> {
    let Resources { memory, cpu, tasks } = resources;
    let limit =
        |option, controller, files, properties| Limit { option, controller, files, properties };
    let memory = memory.map(|bytes| {
        // Without its swap: a job that is out of memory ends, and the machine goes on. All
        // of it ends at once: which of its processes the kernel chose would be chance.
        let files = [("memory.max", bytes), ("memory.swap.max", 0), ("memory.oom.group", 1)];
        let files = files.map(|(file, value)| (file, value.to_string())).into();
        let properties = vec![format!("MemoryMax={bytes}"), "MemorySwapMax=0".into()];
        limit("memory", "memory", files, properties)
    });
    let cpu = cpu.map(|percent| {
        let share = u64::from(percent) * (PERIOD / 100);
        let files = vec![("cpu.max", format!("{share} {PERIOD}"))];
        limit("cpu", "cpu", files, vec![format!("CPUQuota={percent}%")])
    });
    let tasks = tasks.map(|tasks| {
        let files = vec![("pids.max", tasks.to_string())];
        limit("tasks", "pids", files, vec![format!("TasksMax={tasks}")])
    });
    memory.into_iter().chain(cpu).chain(tasks).collect()
}

/// Has these limits hold in a cgroup; says which of them don't, and why.
pub(super) fn set(group: &Path, resources: Resources) -> Vec<String> {
    let parent = group.parent().unwrap_or(group);
    let limits = limits(resources);
    let failed = limits.iter().filter_map(|limit| {
        let why = limit.set(parent, group).err()?;
        Some(format!("{}: {why}", limit.option))
    });
    failed.collect()
}

/// What a scope is to be told for these limits.
pub(super) fn properties(resources: Resources) -> Vec<String> {
    limits(resources).into_iter().flat_map(|limit| limit.properties).collect()
}

/// That none of these limits holds, and why.
pub(super) fn none(resources: Resources, why: &str) -> Vec<String> {
    limits(resources).iter().map(|limit| format!("{}: {why}", limit.option)).collect()
}

impl Limit {
    fn set(&self, parent: &Path, group: &Path) -> Result<(), String> {
        let controller = self.controller;
        let there = fs::read_to_string(parent.join("cgroup.controllers")).unwrap_or_default();
        if !there.split_whitespace().any(|one| one == controller) {
            return Err(format!("{} has no controller {controller} to give", parent.display()));
        }
        // For each job: somebody else may have taken it away meanwhile.
        put(&parent.join("cgroup.subtree_control"), &format!("+{controller}"))?;
        for (place, (file, value)) in self.files.iter().enumerate() {
            let written = put(&group.join(file), value);
            // A kernel without swap has no file for it.
            if place == 0 {
                written?;
            }
        }
        Ok(())
    }
}

/// Nothing holds any more.
pub(super) fn lift(group: &Path) {
    for file in ["memory.max", "memory.swap.max", "cpu.max", "pids.max"] {
        // What has no limit has no such file.
        let _ = put(&group.join(file), "max");
    }
    let _ = put(&group.join("memory.oom.group"), "0");
}

/// Writes into a file of a cgroup, which is there or not: none is made.
pub(super) fn put(path: &Path, value: &str) -> Result<(), String> {
    let mut file = OpenOptions::new().write(true).open(path).map_err(|e| said(path, &e))?;
    // In one write: each is a command.
    file.write_all(value.as_bytes()).map_err(|e| said(path, &e))
}

fn said(path: &Path, error: &io::Error) -> String {
    format!("{}: {}", path.display(), describe(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_what_the_kernel_reads() {
        let all = Resources { memory: Some(64 << 20), cpu: Some(150), tasks: Some(32) };
        let files: Vec<(&str, String)> =
            limits(all).into_iter().flat_map(|limit| limit.files).collect();
        let wanted = [
            ("memory.max", "67108864"),
            ("memory.swap.max", "0"),
            ("memory.oom.group", "1"),
            ("cpu.max", "150000 100000"),
            ("pids.max", "32"),
        ];
        assert_eq!(files, wanted.map(|(file, value)| (file, value.to_string())));
        assert!(limits(Resources::default()).is_empty());
    }

    /// What a directory of plain files stands for.
    #[test]
    fn what_can_be_limited_is_and_the_rest_is_said() {
        let top = tempfile::tempdir().expect("tempdir");
        let group = top.path().join("group");
        fs::create_dir(&group).expect("mkdir");
        for (file, text) in
            [("cgroup.controllers", "cpuset memory pids\n"), ("cgroup.subtree_control", "")]
        {
            fs::write(top.path().join(file), text).expect("write");
        }
        for file in ["memory.max", "memory.oom.group", "cpu.max"] {
            fs::write(group.join(file), "").expect("write");
        }
        let all = Resources { memory: Some(4096), cpu: Some(1), tasks: Some(3) };
        let without = set(&group, all);
        assert_eq!(without.len(), 2, "{without:?}");
        assert!(
            without[0].starts_with("cpu: ") && without[0].ends_with("no controller cpu to give")
        );
        assert!(without[1].starts_with("tasks: ") && without[1].contains("pids.max: no such file"));
        let text = |file: &str| fs::read_to_string(group.join(file)).ok();
        assert_eq!(text("memory.max").as_deref(), Some("4096"));
        assert_eq!(text("memory.oom.group").as_deref(), Some("1"));
        assert_eq!(text("cpu.max").as_deref(), Some(""));
        assert_eq!((text("memory.swap.max"), text("pids.max")), (None, None));
    }
}
