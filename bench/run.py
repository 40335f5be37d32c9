#!/usr/bin/python3
"""make bench: echo and Waymark interleaved, server on CPU 0, load on CPU 1.

Prints the server's CPU time for each checked answer, as a ratio to the bare
echo of the same block. The method is that of docs/benchmark.md: blocks in
random order, the median of the blocks' ratios, and an A/A check (the echo
against itself) that says how small a difference may be believed.

With --against, the waymarkd of another build takes part in the same blocks.

    run.py [--blocks N] [--seconds S] [--names N] [--suffixes N] [--against BUILD] [--json FILE]
"""
import argparse
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("WAYMARK_BUILD", ".")
SERVER_CPU, LOAD_CPU = "0", "1"
WINDOW = "256"


def free_port():
    """A port that is free for UDP and TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u, socket.socket() as t:
            u.bind(("127.0.0.1", 0))
            try:
                t.bind(u.getsockname())
                return u.getsockname()[1]
            except OSError:
                continue


def start(cpu, *argv, **kw):
    return subprocess.Popen(["taskset", "-c", cpu, *map(str, argv)], **kw)


def wait_for(port, what, process):
    question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02n0\x05bench\x07example\x00\x00\x01\x00\x01"
    end = time.monotonic() + 10
    while time.monotonic() < end and process.poll() is None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.1)
            s.connect(("127.0.0.1", port))
            try:
                s.send(question)
                if s.recv(4096):
                    return
            except OSError:
                time.sleep(0.02)
    sys.exit(f"bench: {what} does not answer on port {port}")


def load(port, process, mode, names, seconds):
    out = subprocess.run(["taskset", "-c", LOAD_CPU, f"{BUILD}/bench/bench_load", str(port), str(process.pid), mode,
                          str(names), str(seconds), WINDOW], check=True, capture_output=True, text=True).stdout
    r = json.loads(out)
    if r["bad"]:
        sys.exit(f"bench: {r['bad']} wrong answers of {r['sent']} ({mode})")
    r["ns"] = r["cpu_ns"] / max(r["good"], 1)
    return r


def memory(pid):
    """Private memory in MB (Pss_Anon)."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            if line.startswith("Pss_Anon:"):
                return int(line.split()[1]) / 1024
    return 0.0


def write_settings(folder, port, upstream, cache):
    path = f"{folder}/waymark.yaml"
    with open(path, "w") as f:
        f.write(f"""server: {{listen: ["127.0.0.1:{port}"], workers: 1, user: "", state-dir: {folder}/state, run-dir: {folder}/run}}
forward:
  - {{zone: ., servers: ["127.0.0.1:{upstream}"]}}
cache: {{size: {cache}}}
audit: {{max-rate: 1000000, max-rate-client: 1000000}}
""")
    return path


def import_policy(build, folder, settings, suffixes):
    path = f"{folder}/policy.yaml"
    with open(path, "w") as f:
        f.write("waymark-policy: 1\npools:\n  bench:\n    - kms01.bench.example\nrules:\n  bench:\n    pool: bench\n    suffixes:\n")
        for i in range(suffixes):
            f.write(f"      - s{i}.bench.example\n")
    begin = time.monotonic()
    subprocess.run([f"{build}/waymarkctl", "-c", settings, "policy", "import", path, "--reason", "bench", "--yes"],
                   check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begin


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--blocks", type=int, default=8)
    p.add_argument("--seconds", type=float, default=2)
    p.add_argument("--names", type=int, default=1000)
    p.add_argument("--suffixes", type=int, default=1000)
    p.add_argument("--cache", default="64M")
    p.add_argument("--against", metavar="BUILD")
    p.add_argument("--json")
    a = p.parse_args()
    folder = tempfile.mkdtemp(prefix="waymark-bench-")
    running = []
    try:
        report = bench(a, folder, running)
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
            process.wait(10)
        shutil.rmtree(folder)
    if a.json:
        with open(a.json, "w") as f:
            json.dump(report, f, indent=2)


def start_waymark(build, folder, stub, a, running):
    """(port, process, seconds to the first answer, seconds of the import)"""
    os.makedirs(f"{folder}/state"), os.makedirs(f"{folder}/run")
    port = free_port()
    settings = write_settings(folder, port, stub, a.cache)
    imported = import_policy(build, folder, settings, a.suffixes)
    begin = time.monotonic()
    process = start(SERVER_CPU, f"{build}/waymarkd", "-c", settings, stderr=subprocess.DEVNULL)
    running.append(process)
    wait_for(port, "waymarkd", process)
    return port, process, time.monotonic() - begin, imported


def bench(a, folder, running):
    ports = {name: free_port() for name in ("stub", "echo")}
    stub = start(LOAD_CPU, f"{BUILD}/bench/bench_stub", ports["stub"], stdout=subprocess.DEVNULL)
    echo = start(SERVER_CPU, f"{BUILD}/bench/bench_echo", ports["echo"], 16)
    running += [stub, echo]
    wait_for(ports["echo"], "bench_echo", echo)
    slices = [("echo", ports["echo"], echo, "echo", 1), ("echo again", ports["echo"], echo, "echo", 1)]
    for build, what in [(BUILD, ""), (a.against, ", other build")]:
        if build is None:
            continue
        port, process, begun, done = start_waymark(build, f"{folder}/{len(running)}", ports["stub"], a, running)
        if build == BUILD:
            waymark, first, imported = process, begun, done
        load(port, process, "warm", a.names, 60)
        slices += [("cached A" + what, port, process, "a", a.names), ("KMS filled" + what, port, process, "kms", a.suffixes)]
    found = {s[0]: [] for s in slices}
    lost = dict.fromkeys(found, 0)
    for block in range(a.blocks):
        random.shuffle(slices)
        for name, port, process, mode, names in slices:
            if mode == "kms":  # what is kept ends with kms.max-negative-ttl: alike fresh for each build
                load(port, process, "warmkms", names, 120)
            r = load(port, process, mode, names, a.seconds)
            found[name].append(r["ns"])
            lost[name] += r["lost"]
        print(f"\rblock {block + 1} of {a.blocks}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    print(f"{'what':24} {'ns/answer':>10} {'ratio to echo':>14} {'lost':>6}")
    report = {"names": a.names, "suffixes": a.suffixes, "first_answer_s": first, "import_s": imported,
              "private_mb": memory(waymark.pid), "slices": {}}
    for name, ns in found.items():
        ratio = statistics.median(x / e for x, e in zip(ns, found["echo"]))
        report["slices"][name] = {"ns": statistics.median(ns), "ratio": ratio, "lost": lost[name]}
        print(f"{name:24} {statistics.median(ns):10.0f} {ratio:14.2f} {lost[name]:6}")
        if a.against and name + ", other build" in found:
            pairs = zip(ns, found[name + ", other build"])
            print(f"{'  to the other build':24} {'':10} {statistics.median(x / y for x, y in pairs):14.3f}")
    print(f"start to first answer {first:.3f} s; {a.suffixes} suffixes imported in {imported:.2f} s; "
          f"private memory {report['private_mb']:.0f} MB")
    return report


if __name__ == "__main__":
    main()
