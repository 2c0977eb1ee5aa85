"""Operators who deploy one application at random, each against the others, while things
die; and what must hold of it afterwards, by the journals of the targets.

usage: operators.py SECONDS SEED

In the working directory: tentacles web1 to webN, which listen, and octopuses ann and bob,
whose configurations have all of them as targets.
"""

import datetime
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

HERE = os.getcwd()
TARGETS = sorted((n for n in os.listdir() if re.fullmatch(r"web\d+", n)), key=lambda n: int(n[3:]))
# Whom each operator works for: two share an octopus.
OCTOPUSES = {1: "ann", 2: "ann", 3: "bob"}
HEALTHY = "test ! -e sick"
# What is left of its work may take so long, on a busy machine.
PATIENCE = 90


class Decision:
    """What an operator asked for, and what came of it."""

    def __init__(self, operator, what, version, targets, argv):
        self.operator, self.what, self.version, self.targets = operator, what, version, targets
        self.octopus = OCTOPUSES[operator]
        self.began, self.ended, self.code, self.said = time.time(), None, None, ""
        self.process = subprocess.Popen(
            argv,
            env=environment(self.octopus),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait(self):
        self.said = self.process.communicate()[0]
        self.code, self.ended = self.process.returncode, time.time()

    def __str__(self):
        return f"operator {self.operator}: {self.what} {self.version}: {self.code}\n{self.said}"


def environment(octopus):
    ours = dict(os.environ)
    ours.update(OCTO_CONFIG=f"{HERE}/{octopus}/config", OCTO_STATE=f"{HERE}/{octopus}/state")
    return ours


def ask(octopus, *argv):
    done = subprocess.run(argv, env=environment(octopus), capture_output=True, text=True)
    return done.stdout


def package(version, sick):
    """Slow on the last target; an earlier release has no sick file to be healthy by."""
    tree = f"tree-{version}"
    os.mkdir(tree)
    write(f"{tree}/version", f"shop-{version}\n")
    if sick:
        write(f"{tree}/sick", "")
    hook = f"#!/bin/sh\n[ $TENTACLE != {TARGETS[-1]} ] || sleep 1\n"
    write(f"{tree}/PostDeploy.sh", hook)
    os.chmod(f"{tree}/PostDeploy.sh", 0o755)
    path = f"packages/shop-{version}.tar"
    subprocess.run(["tar", "-C", tree, "-cf", path, "."], check=True)
    return path


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class Operators:
    def __init__(self, seconds, seed):
        self.deadline = time.time() + seconds
        self.seed = seed
        self.decisions, self.freezes, self.kills, self.broken = [], [], 0, []
        self.sick = set()

    def run(self):
        """All of them at once; then, when nothing dies any more, one after the other."""
        works = [lambda operator=operator: self.operate(operator) for operator in OCTOPUSES]
        threads = [threading.Thread(target=self.guard, args=(w,)) for w in [*works, self.kill, self.fill]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.broken:
            raise self.broken[0]
        await_rest()
        self.in_order()

    def guard(self, work):
        """What goes wrong in a thread would be lost with it."""
        try:
            work()
        except BaseException as error:  # pylint: disable=broad-except
            self.deadline = 0
            self.broken.append(error)

    def in_order(self):
        """Nothing of what died holds up what comes then, and each says how it was."""
        everywhere = ["-t", ",".join(TARGETS)]
        deploy = lambda operator, version: self.decide(
            operator, "deploy", version, TARGETS, ["octo-deploy", *everywhere, f"packages/shop-{version}.tar"]
        )
        for version in ("1000.1", "1001.3", "1002.1"):
            package(version, False)
        expect(deploy(1, "1000.1"), 0)
        expect(deploy(3, "1001.3"), 0)
        freeze = ["octo-lock", *everywhere, "--until", "1h", "shop", "counting the stock"]
        expect(self.decide(3, "freeze", None, TARGETS, freeze), 0)
        expect(deploy(1, "1002.1"), 75)
        expect(self.decide(2, "rollback", None, TARGETS, ["octo-rollback", *everywhere, "shop"]), 0)
        thaw = ["octo-lock", *everywhere, "--release", "shop"]
        expect(self.decide(1, "thaw", None, TARGETS, thaw), 0)
        for target in TARGETS:
            version = open(f"{target}/srv/shop/current/version", encoding="utf-8").read()
            if version != "shop-1000.1\n":
                raise SystemExit(f"{target} runs {version}")

    def goes_on(self):
        return time.time() < self.deadline

    def operate(self, operator):
        chance, number, made = random.Random(self.seed * 10 + operator), 0, []
        while self.goes_on():
            some = chance.sample(TARGETS, chance.randint(2, len(TARGETS)))
            some = TARGETS if chance.random() < 0.5 else sorted(some)
            select = ["-t", ",".join(some)]
            luck = chance.random()
            if luck < 0.65 or not made:
                number += 1
                version = f"{number}.{operator}"
                if chance.random() < 0.25:
                    self.sick.add(version)
                made.append((version, package(version, version in self.sick)))
                self.deploy(operator, chance, select, some, *made[-1])
            elif luck < 0.75:
                self.deploy(operator, chance, select, some, *chance.choice(made))
            elif luck < 0.92:
                argv = ["octo-rollback", *select, "--max-failures", str(chance.randint(0, 3)), "shop"]
                self.decide(operator, "rollback", None, some, argv)
            else:
                self.freeze(operator, select, some)

    def deploy(self, operator, chance, select, some, version, path):
        rolling = ["--batch", str(chance.randint(2, 5)), "--max-failures", str(chance.randint(0, 3))]
        health = ["--health", HEALTHY, "--tries", "1"]
        argv = ["octo-deploy", *select, *rolling, *health, "--lock-wait", "5s", path]
        self.decide(operator, "deploy", version, some, argv)

    def freeze(self, operator, select, some):
        until = ["--until", "1h"]
        argv = ["octo-lock", *select, *until, "shop", "counting the stock"]
        frozen = self.decide(operator, "freeze", None, some, argv)
        self.freezes.append(frozen)
        time.sleep(1)
        frozen.thawing = time.time()
        for _ in range(100):
            thawed = self.decide(operator, "thaw", None, some, ["octo-lock", *select, "--release", "shop"])
            if thawed.code == 0:
                return
            time.sleep(0.5)
        raise SystemExit(f"never thawed: {thawed}")

    def decide(self, operator, what, version, targets, argv):
        decision = Decision(operator, what, version, targets, argv)
        self.decisions.append(decision)
        decision.wait()
        return decision

    def kill(self):
        """kill -9 of one of all that runs, now and then; a listener comes back."""
        chance = random.Random(self.seed)
        while self.goes_on():
            time.sleep(chance.uniform(0.5, 3))
            if chance.random() < 0.3:
                name = chance.choice(TARGETS)
                kill(int(open(f"{name}/pid").read()))
                time.sleep(chance.uniform(0, 4))
                listen(name)
                continue
            found = ours()
            if found:
                self.kills += kill(chance.choice(found))

    def fill(self):
        """The disk of the first target is full now and then, if it has one of its own."""
        chance, place = random.Random(-self.seed), f"{TARGETS[0]}/srv"
        if not os.path.ismount(place):
            return
        while self.goes_on():
            time.sleep(chance.uniform(2, 8))
            subprocess.run(["sh", "-c", f"cat /dev/zero >{place}/filler"], stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(1, 3))
            os.unlink(f"{place}/filler")


def expect(decision, code):
    if decision.code != code:
        raise SystemExit(f"not {code}: {decision}")


def await_rest():
    """Until nothing of ours is at work."""
    until = time.time() + PATIENCE
    while ours():
        if time.time() > until:
            raise SystemExit(f"still at work: {ours()}")
        time.sleep(0.2)


def kill(process):
    try:
        os.kill(process, signal.SIGKILL)
        return 1
    except ProcessLookupError:
        return 0


def listen(name):
    """As the shell started it, at the same place."""
    address = re.search(r"listening (\S+)", open(f"{name}/listening").read())[1]
    env = dict(os.environ, OCTO_CONFIG=f"{HERE}/{name}/config", OCTO_STATE=f"{HERE}/{name}/state")
    with open(f"{name}/listen.log", "a") as log:
        process = subprocess.Popen(
            ["octo-listen", "-l", address], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
        )
    if not process.stdout.readline().startswith(b"listening "):
        raise SystemExit(f"{name}: doesn't listen again, see {open(f'{name}/listen.log').read()}")
    write(f"{name}/pid", str(process.pid))


def ours(names=("octo-push", "octo-exec", "octo-release", "octo-deploy", "octo-rollback", "octo-lock")):
    """The processes of this test with such a name in their command."""
    found = []
    for process in os.listdir("/proc"):
        try:
            if HERE.encode() not in open(f"/proc/{process}/environ", "rb").read():
                continue
            words = open(f"/proc/{process}/cmdline", "rb").read().decode(errors="replace").split("\0")
        except (OSError, ValueError):
            continue
        if any(os.path.basename(word) in names for word in words[:2]):
            found.append(int(process))
    return found


class Line:
    """A whole line of a journal."""

    def __init__(self, target, fields):
        when, self.version, _, self.who, self.result, self.release, self.note, _ = fields
        self.target = target
        when = datetime.datetime.strptime(when, "%Y-%m-%dT%H:%M:%SZ")
        self.when = when.replace(tzinfo=datetime.timezone.utc).timestamp()

    def is_within(self, decision):
        # A job outlives who waited for it.
        ended = decision.ended if decision.code is not None and decision.code >= 0 else None
        late = decision.ended + PATIENCE if ended is None else ended + 1
        return decision.began - 1 <= self.when <= late and self.target in decision.targets

    def __str__(self):
        return f"{self.target}: {self.when:.0f} {self.version} {self.who} {self.result} {self.release} {self.note}"


def journal(target):
    path = f"{target}/srv/shop/journal"
    if not os.path.exists(path):
        return []
    fields = [line.split("\t") for line in open(path, encoding="utf-8").read().split("\n")]
    return [Line(target, line) for line in fields if len(line) == 8 and line[7] == "."]


class Check:
    """What must hold, when all is over."""

    def __init__(self, operators):
        self.operators, self.decisions, self.wrong = operators, operators.decisions, []
        self.journals = {target: journal(target) for target in TARGETS}

    def all(self):
        for target in TARGETS:
            self.changes(target)
            self.current(target)
        self.freezes()
        for decision in self.decisions:
            self.report(decision)
            # Of the command line, or of a shell: the fault is ours.
            if decision.code in (64, 70, 126, 127) or re.search(r": line \d+: (?!.*Killed)", decision.said):
                self.wrong.append(f"misuse: {decision}")
        self.looks()
        return self.wrong

    def named(self, line, what):
        """The decisions for that by this line's pusher, at that time."""
        found = (d for d in self.decisions if d.what == what and d.octopus == line.who and line.is_within(d))
        return list(found)

    def changes(self, target):
        """Nothing becomes current that nobody named; nobody is taken back by another."""
        started, current = None, None
        for line in self.journals[target]:
            if line.result == "started":
                started = line
            if line.result != "succeeded":
                continue
            if started is None or started.release != line.release:
                self.wrong.append(f"{line}: succeeded, and never began")
                continue
            back = started.note.startswith("rollback")
            if back:
                self.way_back(line, current)
            elif not any(d.version == line.version for d in self.named(started, "deploy")):
                self.wrong.append(f"{line}: nobody has deployed that")
            current = line

    def way_back(self, line, current):
        if current is None:
            self.wrong.append(f"{line}: back from nothing")
            return
        if self.named(line, "rollback"):
            return
        # Else it is the end of a rollout: of the very one that brought what is left.
        own = [d for d in self.named(line, "deploy") if d.version == current.version]
        if not own or current.who != line.who:
            self.wrong.append(f"{line}: took back {current}, which is not its own")

    def current(self, target):
        """It is a whole release, and the one of the last line that says so."""
        link = f"{target}/srv/shop/current"
        done = [line for line in self.journals[target] if line.result == "succeeded"]
        if not os.path.islink(link):
            if done:
                self.wrong.append(f"{target}: no current, and {done[-1]}")
            return
        release = os.path.basename(os.readlink(link))
        for file in ("version", "PostDeploy.sh"):
            if not os.path.exists(f"{link}/{file}"):
                self.wrong.append(f"{target}: {release} has no {file}")
        # One that was killed behind the switch has not succeeded, and is told as such.
        last = [line for line in self.journals[target] if line.result in ("started", "succeeded")]
        if release not in {line.release for line in last[-2:]}:
            self.wrong.append(f"{target}: {release} is current, and the journal ends in {last[-1]}")

    def freezes(self):
        for freeze in self.operators.freezes:
            if freeze.code != 0:
                continue
            for target in freeze.targets:
                for line in self.journals[target]:
                    began = line.result == "started" and line.note.startswith("deploy")
                    if began and freeze.ended + 1 < line.when < freeze.thawing - 1:
                        self.wrong.append(f"{line}: began in the freeze of operator {freeze.operator}")

    def report(self, decision):
        """As many run it as is said."""
        if decision.what != "deploy" or decision.code < 0:
            return
        said = re.findall(r"shop \S+: on (\d+) of \d+ targets", decision.said)
        if not said and decision.code != 0:
            return
        count = int(said[-1]) if said else len(decision.targets)
        found = 0
        for target in decision.targets:
            lines = [line for line in self.journals[target] if line.is_within(decision)]
            lines = [line for line in lines if line.result == "succeeded" and line.who == decision.octopus]
            found += any(line.version == decision.version for line in lines)
        if found < count:
            self.wrong.append(f"said to be on {count}, found on {found}: {decision}")

    def looks(self):
        """What octo-push says is what is there."""
        for octopus in set(OCTOPUSES.values()):
            told = ask(octopus, "octo-push", "-a", "releases", "--tsv", "shop")
            for line in told.splitlines():
                target, state, application, revision = line.split("\t")[:4]
                link = f"{target}/srv/shop/current"
                there = os.path.basename(os.readlink(link)) if os.path.islink(link) else None
                seen = revision.rpartition("#")[0] or None
                if revision == "none" or application == "-":
                    seen = None
                if state == "unreachable" or seen != there:
                    self.wrong.append(f"{octopus} sees {line!r}, and {target} runs {there}")
            if len(told.splitlines()) != len(TARGETS):
                self.wrong.append(f"{octopus} sees {told!r}")


def main():
    seconds, seed = int(sys.argv[1]), int(sys.argv[2])
    os.makedirs("packages", exist_ok=True)
    operators = Operators(seconds, seed)
    operators.run()
    await_rest()
    wrong = Check(operators).all()
    done = [line for lines in map(journal, TARGETS) for line in lines if line.result == "succeeded"]
    back = [line for line in done if "back" in line.note]
    print(f"seed {seed}: {len(operators.decisions)} decisions, {operators.kills} killed,", end=" ")
    print(f"{len(done)} releases, {len(back)} of them ways back")
    if wrong:
        told = "\n".join(wrong[:20])
        log = "\n".join(str(decision) for decision in operators.decisions)
        raise SystemExit(f"seed {seed}: {len(wrong)} faults\n{told}\n\n{log}")


if __name__ == "__main__":
    main()
