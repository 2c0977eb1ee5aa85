//! `--help`.

/// The whole of it; octo-push(1) says more.
pub(crate) const TEXT: &str = "\
usage: octo-push [-i IDENTITY] [-t SELECT]... [-x SELECT]... [-a] [-f FANOUT]
                 [-w WAIT] [-P COMMAND] [--json] VERB ...

verbs:
  put FILE...                    put files into the tentacles' package stores
  run [options] SCRIPT|- [ARG]...       run a script, give back its output and code
  run [options] -c COMMAND [ARG]...     run a command, as sh -c
  run [options] --name NAME [ARG]...    run a script that the target's admin installed
  follow JOB    cancel JOB    jobs      follow or cancel a job, list the jobs
  get JOB [ARTIFACT]...                 list a job's artifacts, or fetch some
  status    scripts    audit            how the tentacles are, what they offer,
                                        and whether their audit logs are whole
  targets   journal                     what is known and was done here

which targets:
  -t, --target SELECT    names or tags joined by commas; several -t intersect
  -x, --exclude SELECT   but not these
  -a, --all              all of CONFIG/targets
      --shard K/N        every Nth of them, from the Kth on
  SELECT may be failed:LAST or failed:JOB, those that failed then

how:
  -i, --identity FILE    this identity, not CONFIG/identity.pem; may be a pipe
  -f, --fanout N         so many targets at once (64)
  -w, --wait TIME        bound of each connecting (15s)
      --reconnect TIME   how long contact may be lost (-w, else 2m)
      --retries N        how often a failed connection is tried again (0)
      --limit TIME       how long to stay with one target at most
  -P, --transport CMD    a program is the connection: 'ssh %h octo-listen --stdio'
  -g, --gather           outputs that agree are shown once, as web[1-3,7]
      --json             one object a line; --record FILE writes them aside
  -n, --dry-run          say what would be done   -q, --quiet   -v, --verbose
      --config DIR   --state DIR   --version   --help

run:
  -p, --package FILE|SHA256  with this package     -T, --timeout TIME
  -e, --env NAME=VALUE       a variable            -k, --grace TIME
  -E, --env-file FILE        variables             -L, --lock NAME[:shared]
  -S, --secrets FILE         hidden variables      -W, --lock-wait TIME (5m)
  -j, --job JOB              with this id          -D, --detach
  -o, --output FILE   --outputs FILE   --end FILE  what came of it
      In -E, -S and these, %n is the target's name.

rolling:
  --batch 1,5,20%   --canary TAG   --pause TIME   --max-failures N|P%
  --min-healthy N|P%   --failed-first   --gate COMMAND

examples:
  octo-push -a status
  octo-push -t web run -c uptime
  octo-push -t web1 put shop-1.4.tar.gz
  octo-push -t web,prod --batch 1,20% run -p shop-1.4.tar.gz deploy.sh 1.4
";
