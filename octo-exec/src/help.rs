//! `--help`.

/// The whole of it; octo-exec(1) says more.
pub(crate) const TEXT: &str = "\
usage: octo-exec [--config DIR] [--state DIR] VERB ...

run a script as a job, here:
  run [options] SCRIPT|- [ARG]...       run a script, give back its output and code
  run [options] -c COMMAND [ARG]...     run a command, as sh -c
  start                                 bring every job forward that waits for it
  job DIR                               run one published job; what starts jobs calls this

the jobs of this machine:
  list [--held]                         one job a line; those that wait for approval
  show JOB                              what a job is, who asked, what is to be approved
  approve JOB [DIGEST]   deny JOB [REASON]   let a held job run, or not
  cancel JOB                            end a job
  prune [options]                       remove old jobs and packages
  end FILE...                           what files of --end say, for scripts: a line each
  add FILE                              put a package into the store, print its sha256

options of run:
  -p, --package FILE|SHA256  with this package     -T, --timeout TIME
  -e, --env NAME=VALUE       a variable            -k, --grace TIME (10s)
  -E, --env-file FILE        variables             -L, --lock NAME[:shared]
  -S, --secrets FILE         hidden variables      -W, --lock-wait TIME (5m)
  -j, --job JOB              with this id          -D, --detach
      --outputs FILE   --end FILE                  what came of it

options of prune:
      --older TIME (30d)   --keep N (100)   --free SIZE|P%   -n, --dry-run

  --config DIR   --state DIR   --version   --help   -q, --quiet   -v, --verbose

examples:
  octo-exec run -c 'uptime'
  octo-exec run -T 10m -L backup /usr/local/sbin/backup.sh
  octo-exec list --held
  octo-exec prune --older 14d
";
