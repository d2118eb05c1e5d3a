//! Containers that labctl makes itself: what they see, what they may do, and how they end. They run the host's
//! programs.
#[path = "embedded_common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use common::{Bench, empty_network, host, until};
use labctl::runtime::embedded::container::{ContainerSpec, Mount, Root};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{gethostname, getuid};

/// The lines `name: value` of `/proc/self/status`.
fn status(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim())).collect()
}

#[test]
fn a_program_runs_and_its_output_arrives() {
    let bench = Bench::new();
    let ended = bench.run(&host(&["sh", "-c", "echo out; echo err >&2; exit 7"]));
    assert_eq!((ended.output.as_str(), ended.errors.as_str(), ended.code), ("out\n", "err\n", Some(7)));
}

#[test]
fn it_has_no_rights() {
    let ended = Bench::new().run(&host(&["cat", "/proc/self/status"]));
    let status = status(&ended.output);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(status[set], "0000000000000000", "{set}");
    }
    assert_eq!(status["NoNewPrivs"], "1");
    assert_eq!(status["Seccomp"], "2");
    assert_eq!(status["SigBlk"], "0000000000000000");
    assert_eq!(status["SigIgn"], "0000000000000000");
    assert_eq!(status["Uid"], "65534\t65534\t65534\t65534");
    assert_eq!(status["Gid"], "65534\t65534\t65534\t65534");
}

#[test]
fn it_sees_its_own_processes_only() {
    let ended = Bench::new().run(&host(&["sh", "-c", "echo $$; cd /proc; echo [0-9]*"]));
    assert_eq!(ended.output, "1\n1\n");
}

#[test]
fn it_sees_none_of_the_hosts_files_but_programs() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    let path = secret.path().to_str().unwrap();
    let ended = Bench::new().run(&host(&["sh", "-c", "ls /; ls -A /tmp; cat \"$1\"", "sh", path]));
    let own = ["dev", "proc", "run", "tmp"];
    let of_host = ["bin", "etc", "lib", "lib32", "lib64", "libx32", "sbin", "usr"];
    for name in ended.output.lines() {
        assert!(own.contains(&name) || of_host.contains(&name), "{name} is not the container's");
    }
    assert!(ended.errors.contains("No such file"), "{ended:?}");
    // What the host mounts is not hidden in there, it is not there.
    let mounts = Bench::new().run(&host(&["cat", "/proc/self/mounts"])).output;
    assert!(mounts.lines().any(|line| line.contains(" /usr ")), "{mounts}");
    assert!(!mounts.contains("netns"), "{mounts}");
}

#[test]
fn its_network_is_the_one_that_it_was_given() {
    let ended = Bench::new().run(&host(&["sh", "-c", "tail -n +3 /proc/net/dev | cut -d: -f1"]));
    assert_eq!(ended.output.trim(), "lo");
}

#[test]
fn it_has_a_name_of_its_own_and_the_host_keeps_its() {
    let before = gethostname().unwrap();
    let ended = Bench::new().run(&host(&["cat", "/proc/sys/kernel/hostname"]));
    assert_eq!(ended.output, "bx-node\n");
    assert_eq!(gethostname().unwrap(), before);
}

#[test]
fn it_can_write_to_its_own_places_and_nowhere_else() {
    let bench = Bench::new();
    bench.give_directory();
    let script = "for place in / /usr /etc /dev /proc/sys/kernel /run /tmp /run/overlay /dev/shm; do
        if echo x 2>/dev/null > $place/bx-file; then echo $place; fi; done
        echo 1 2>/dev/null > /proc/sys/net/ipv4/ip_forward && echo settings";
    let ended = bench.run(&host(&["sh", "-c", script]));
    assert_eq!(ended.output.lines().collect::<Vec<_>>(), ["/run", "/tmp", "/run/overlay", "/dev/shm"]);
    assert_eq!(fs::read_to_string(bench.directory.path().join("bx-file")).unwrap(), "x\n");
}

#[test]
fn two_containers_see_nothing_of_each_other() {
    let bench = Bench::new();
    let first = bench.start(&host(&["sh", "-c", "echo secret > /tmp/bx-secret; exec sleep 600"]));
    let second = bench.run(&host(&["sh", "-c", "ls -A /tmp; cd /proc; echo [0-9]*; kill -9 -1; echo alive"]));
    assert_eq!(second.output, "1\nalive\n", "{second:?}");
    assert!(first.is_alive());
    for namespace in ["user", "mnt", "pid", "uts", "ipc", "net"] {
        let of = |pid: &dyn std::fmt::Display| fs::read_link(format!("/proc/{pid}/ns/{namespace}")).unwrap();
        assert_ne!(of(&first.started.pid), of(&"self"), "{namespace}");
    }
    first.end();
}

#[test]
fn it_cannot_make_namespaces_or_mounts() {
    let script = "unshare -U true; unshare -n true; mount -t tmpfs none /tmp; mount --bind /etc /tmp";
    let ended = Bench::new().run(&host(&["sh", "-c", script]));
    assert!(ended.errors.lines().count() >= 4, "{ended:?}");
    assert_ne!(ended.code, Some(0));
}

#[test]
fn nothing_that_labctl_has_open_is_open_in_it() {
    let ended = Bench::new().run(&host(&["sh", "-c", "cd /proc/self/fd; echo *"]));
    // The last one is that of the shell, which reads the directory.
    assert_eq!(ended.output, "0 1 2 3\n");
}

#[test]
fn when_its_first_process_ends_all_others_do() {
    let bench = Bench::new();
    let running = bench.start(&host(&["sh", "-c", "sleep 600 & sleep 600 & echo ready; exec sleep 600"]));
    until(|| running.output() == "ready\n");
    let all = running.processes();
    assert_eq!(all.len(), 3, "{all:?}");
    kill(running.started.pid, Signal::SIGKILL).unwrap();
    running.wait();
    for pid in all {
        assert!(!fs::exists(format!("/proc/{pid}")).unwrap(), "{pid} lives on");
    }
}

#[test]
fn another_command_can_be_run_in_it_with_its_rights() {
    let bench = Bench::new();
    let spec = host(&["sh", "-c", "echo secret > /tmp/bx-secret; echo ready; exec sleep 600"]);
    let running = bench.start(&spec);
    until(|| running.output() == "ready\n");
    let script = "cat /tmp/bx-secret /proc/self/status; cd /proc; echo [0-9]*; exit 3";
    let command = ["sh", "-c", script].map(str::to_owned);
    let ended = bench.enter(&running, &spec, &command).unwrap().wait();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.output.starts_with("secret\n"), "{ended:?}");
    assert!(ended.output.ends_with("\n1 2\n"), "it sees the program, and is not the first: {ended:?}");
    let status = status(&ended.output);
    assert_eq!((status["CapEff"], status["CapBnd"]), ("0000000000000000", "0000000000000000"));
    assert_eq!((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"));
    assert_eq!(status["Uid"], "65534\t65534\t65534\t65534");
    // What is started next is not in there.
    assert_eq!(bench.run(&host(&["sh", "-c", "echo $$"])).output, "1\n");

    let error = bench.enter(&running, &spec, &["bx-none".to_owned()]).err().unwrap().to_string();
    assert!(error.contains("cannot run 'bx-none'"), "{error}");
    // A check that hangs ends with the program.
    let hangs = bench.enter(&running, &spec, &["sleep", "600"].map(str::to_owned)).unwrap();
    kill(running.started.pid, Signal::SIGKILL).unwrap();
    assert_eq!(hangs.wait().code, None);
    running.wait();
}

#[test]
fn it_ends_with_the_thread_that_started_it() {
    let bench = Bench::new();
    let running =
        std::thread::scope(|scope| scope.spawn(|| bench.start(&host(&["sleep", "600"]))).join().unwrap());
    let ended = running.wait();
    assert_eq!(ended.code, None, "ended by a signal");
}

#[test]
fn a_fork_bomb_is_bounded() {
    let bench = Bench::new();
    let mut spec = host(&["sh", "-c", "bomb() { bomb | bomb & }; bomb; sleep 600"]);
    spec.limits.pids = 20;
    let running = bench.start(&spec);
    until(|| running.errors().contains("fork"));
    // The shell that forks and cannot ends; that there are never more is what counts.
    for _ in 0..100 {
        let processes = running.processes().len();
        assert!(processes <= 20, "{processes} processes");
    }
    let other = bench.run(&host(&["sh", "-c", "true; echo fine"]));
    assert_eq!(other.output, "fine\n", "the limit is of each container by itself");
    running.end();
}

/// Doubles a string until something stops it.
const HOG: &str = "a=0123456789; while :; do a=$a$a; done";

#[test]
fn a_memory_hog_ends_without_control_groups() {
    let bench = Bench::new();
    let mut spec = host(&["sh", "-c", HOG]);
    spec.limits.memory = 64 << 20;
    let ended = bench.run(&spec);
    assert_ne!(ended.code, Some(0), "{}", ended.errors);
}

#[test]
fn a_memory_hog_ends_with_its_control_group() {
    let name = format!("bxhog{}", std::process::id());
    let Some(group) = common::control_groups(&name) else { return };
    let bench = Bench::new();
    // Several processes, each of which stays within what one may have.
    let script = format!("hog() {{ {HOG}; }}; hog & hog & hog & wait");
    let mut spec = host(&["sh", "-c", &script]);
    spec.limits.memory = 64 << 20;
    spec.cgroup = Some(group.parent.clone());
    let beside = bench.start(&host(&["sleep", "600"]));
    let running = bench.start(&spec);
    until(|| running.most_memory() > 0);
    until(|| running.was_out_of_memory());
    assert!(running.most_memory() <= 64 << 20);
    running.end();
    assert!(beside.is_alive());
    beside.end();
}

#[test]
fn a_fork_bomb_is_bounded_by_its_control_group() {
    let name = format!("bxbomb{}", std::process::id());
    let Some(group) = common::control_groups(&name) else { return };
    let bench = Bench::new();
    let mut spec = host(&["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 600 & done; wait"]);
    spec.limits.pids = 6;
    spec.cgroup = Some(group.parent.clone());
    let running = bench.start(&spec);
    until(|| running.errors().contains("fork"));
    assert!(running.processes().len() <= 6);
    running.end();
}

#[test]
fn mounts_are_where_they_were_asked_for() {
    let bench = Bench::new();
    let shared = tempfile::tempdir().unwrap();
    fs::write(shared.path().join("bx-file"), "shared\n").unwrap();
    let mount = |source: &std::path::Path, target: &str, read_only| Mount {
        source: source.to_owned(),
        target: target.into(),
        read_only,
    };
    let file = shared.path().join("bx-file");
    let mut spec =
        host(&["sh", "-c", "cat /data/bx-file /tmp/a/b/bx-file /opt/x/one; echo no > /data/bx-file"]);
    spec.mounts = vec![
        mount(shared.path(), "/data", true),
        mount(shared.path(), "/tmp/a/b", true),
        mount(&file, "/opt/x/one", true),
    ];
    let ended = bench.run(&spec);
    assert_eq!(ended.output, "shared\nshared\nshared\n", "{ended:?}");
    assert!(ended.errors.contains("Read-only"), "{ended:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "shared\n");
}

#[test]
fn a_directory_can_be_the_root() {
    let root = tempfile::tempdir().unwrap();
    for name in ["usr", "own", "proc"] {
        fs::create_dir(root.path().join(name)).unwrap();
    }
    fs::write(root.path().join("own/file"), "mine\n").unwrap();
    std::os::unix::fs::symlink("own/file", root.path().join("link")).unwrap();
    let mut spec = host(&["/usr/bin/cat", "/own/file", "/link"]);
    spec.root = Root::Directory(root.path().to_owned());
    // The programs are the host's.
    spec.mounts = ["/usr", "/lib64", "/lib"]
        .into_iter()
        .filter(|path| fs::exists(path).unwrap())
        .map(|path| Mount { source: path.into(), target: path.into(), read_only: true })
        .collect();
    let ended = Bench::new().run(&spec);
    assert_eq!(ended.output, "mine\nmine\n", "{ended:?}");
}

#[test]
fn errors_say_what_was_done_and_what_to_do() {
    let bench = Bench::new();
    let error = |spec: &ContainerSpec| bench.try_start(spec).err().expect("it fails").to_string();
    let cases = [
        (host(&["bx-no-such-program"]), "cannot run 'bx-no-such-program'", "install it"),
        (host(&["/etc/passwd"]), "cannot run '/etc/passwd'", "executable"),
        (host(&[]), "no command", "name a program"),
        (ContainerSpec { root: Root::Directory("/bx/none".into()), ..host(&["sh"]) }, "/bx/none", "No such"),
        (with_mount("/bx/none", "/data"), "/bx/none", "No such"),
        (with_mount("/etc", "/usr/bx/none"), "mounting /usr/bx/none", "below /tmp or /run"),
    ];
    for (spec, what, mend) in cases {
        let error = error(&spec);
        assert!(error.contains("bx-node") && error.contains(what) && error.contains(mend), "{error}");
    }
}

fn with_mount(source: &str, target: &str) -> ContainerSpec {
    let mount = Mount { source: source.into(), target: target.into(), read_only: true };
    ContainerSpec { mounts: vec![mount], ..host(&["true"]) }
}

#[test]
fn a_container_that_fails_leaves_no_process() {
    let bench = Bench::new();
    let before = common::children();
    bench.try_start(&host(&["bx-no-such-program"])).err().expect("it fails");
    let after = common::children();
    assert!(after.is_subset(&before), "{after:?} was {before:?}");
}

#[test]
fn many_threads_can_start_containers_side_by_side() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let bench = &bench;
            scope.spawn(move || {
                for _ in 0..5 {
                    let ended = bench.run(&host(&["echo", &number.to_string()]));
                    assert_eq!(ended.output, format!("{number}\n"));
                }
            });
        }
    });
}

#[test]
fn what_ends_can_be_waited_for_by_its_descriptor() {
    let bench = Bench::new();
    let network = empty_network();
    let null = fs::File::options().write(true).open("/dev/null").unwrap();
    let spec = ContainerSpec { directory: bench.directory.path().into(), ..host(&["true"]) };
    let started = bench.spawner.start(&spec, network.as_fd(), null.as_fd(), null.as_fd()).unwrap();
    let mut process = [PollFd::new(started.process.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut process, PollTimeout::NONE).unwrap(), 1);
}

#[test]
#[ignore = "the next test starts it, to kill it"]
fn start_a_container_and_wait() {
    let bench = Bench::new();
    let running = bench.start(&host(&["sleep", "600"]));
    println!("container {}", running.started.pid);
    running.wait();
}

#[test]
fn it_ends_with_the_process_that_started_it() {
    let mut keeper = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "start_a_container_and_wait", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(keeper.stdout.take().unwrap()).lines().map(Result::unwrap);
    let pid = lines.find_map(|line| line.strip_prefix("container ").map(str::to_owned)).unwrap();
    let process = format!("/proc/{pid}/ns/pid");
    let namespace = fs::read_link(&process).unwrap();
    keeper.kill().unwrap();
    keeper.wait().unwrap();
    // Another process may have its number by then.
    until(|| fs::read_link(&process).ok() != Some(namespace.clone()));
}

#[test]
fn all_of_this_holds_for_an_ordinary_user() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    let program = directory.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = Command::new("setpriv");
    if getuid().is_root() {
        command.args(["--reuid", "12345", "--regid", "12345", "--clear-groups"]);
    }
    let output = command
        .args(["unshare", "--user", "--map-root-user", "--net", "--mount"])
        .arg(&program)
        .args(["--skip", "all_of_this_holds"])
        .env("TMPDIR", directory.path())
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("it_has_no_rights ... ok"), "{text}");
}
