//! `labctl up` that is ended in the middle, on each runtime. Needs root.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod lab_common;

use std::collections::BTreeSet;
use std::process::Child;
use std::time::Duration;

use lab_common::{On, TestLab, text, up_until, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

on_both_runtimes!(
    a_lab_whose_up_was_killed_anywhere_is_removed_wholly,
    a_lab_whose_up_was_killed_among_its_containers_is_removed_wholly,
    a_lab_whose_up_was_interrupted_is_rolled_back,
    while_a_lab_is_made_nobody_else_touches_it,
);

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

/// Every progress line of `up` is a point to be killed at: the beginnings and ends of its steps.
fn a_lab_whose_up_was_killed_anywhere_is_removed_wholly(on: On) {
    let mut killed = 0;
    for point in 1.. {
        let lab = TestLab::on(on);
        let (mut child, reached) = up_until(&lab, |number, _| number == point);
        if !reached {
            assert!(child.wait().unwrap().success(), "up failed by itself");
            break;
        }
        send(&child, Signal::SIGKILL);
        child.wait().unwrap();
        killed += 1;
        let numbers = lab.namespace_numbers();
        let down = lab.labctl("down", &[]);
        // At the very beginning there is nothing to be found yet.
        let nothing = text(&down.stderr).contains("there is no lab");
        assert!(down.status.success() || nothing, "point {point}: {}", text(&down.stderr));
        lab.assert_nothing_left(&numbers);
    }
    assert!(killed >= 8, "up has only {killed} progress lines");
}

/// The engine goes on with what it was asked for after labctl is dead: also that is found.
fn a_lab_whose_up_was_killed_among_its_containers_is_removed_wholly(on: On) {
    for containers in [1, 2, 4, 6] {
        let lab = TestLab::on(on);
        let (mut child, reached) = up_until(&lab, |_, line| line == "starting and connecting nodes ...");
        assert!(reached);
        wait_until(|| lab.containers().len() >= containers, || "no containers come".to_owned());
        send(&child, Signal::SIGKILL);
        child.wait().unwrap();
        let down = lab.labctl("down", &[]);
        assert!(down.status.success(), "{}", text(&down.stderr));
        lab.assert_nothing_left(&BTreeSet::new());
        // Nor does anything come later.
        std::thread::sleep(Duration::from_secs(1));
        lab.assert_nothing_left(&BTreeSet::new());
    }
}

fn a_lab_whose_up_was_interrupted_is_rolled_back(on: On) {
    for (signal, step) in [
        (Signal::SIGINT, "starting and connecting nodes ..."),
        (Signal::SIGTERM, "making the WAN and the gateways ..."),
    ] {
        let lab = TestLab::on(on);
        let (mut child, reached) = up_until(&lab, |_, line| line == step);
        assert!(reached, "up has no step '{step}'");
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(1));
        lab.assert_nothing_left(&lab.namespace_numbers());
    }
}

fn while_a_lab_is_made_nobody_else_touches_it(on: On) {
    let lab = TestLab::on(on);
    let (mut child, reached) = up_until(&lab, |_, line| line.starts_with("preparing the node image ..."));
    assert!(reached);
    // Held fast in the middle of its work.
    send(&child, Signal::SIGSTOP);
    let down = lab.labctl("down", &[]);
    let up = lab_common::labctl(&["up", "--runtime", on.word(), lab.topology().to_str().unwrap()]);
    send(&child, Signal::SIGCONT);
    for output in [down, up] {
        assert!(!output.status.success());
        let message = text(&output.stderr);
        assert!(message.contains(&format!("process {}", child.id())), "{message}");
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(lab.listed()["condition"], "running");
}
