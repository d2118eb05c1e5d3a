//! `labctl down --all`. Needs root, and a machine without other labs: it is a test binary of its own, so that no other
//! test's labs run beside it. Labs that killed tests have left are no others.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod lab_common;

use lab_common::{On, TestLab, labctl, names, text, up_until};

/// The names of all labs that are up on this machine, or of which something is there.
fn labs() -> Vec<String> {
    let listed = labctl(&["ps", "--json"]);
    assert!(listed.status.success(), "{}", text(&listed.stderr));
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    listed["labs"].as_array().unwrap().iter().map(|lab| lab["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn down_all_removes_whole_labs_and_what_a_killed_up_left() {
    for left in labs().iter().filter(|lab| names::is_left_over(lab)) {
        let down = labctl(&["down", "--lab", left]);
        assert!(down.status.success(), "{}", text(&down.stderr));
    }
    let others = labs();
    if !others.is_empty() {
        // In CI this is a failure; on somebody's machine their labs are worth more than this test.
        assert!(std::env::var_os("CI").is_none(), "other labs are up: {others:?}");
        eprintln!("NOT RUN: other labs are up on this machine");
        return;
    }

    // One of each runtime that there is: they go together.
    let (whole, killed) = (TestLab::new(), TestLab::on(On::Embedded));
    whole.up();
    let (mut child, reached) = up_until(&killed, |_, line| line == "starting and connecting nodes ...");
    assert!(reached);
    child.kill().unwrap();
    child.wait().unwrap();
    let numbers: Vec<_> = [&whole, &killed].map(TestLab::namespace_numbers).into_iter().collect();

    let down = labctl(&["down", "--all"]);
    assert!(down.status.success(), "{}", text(&down.stderr));
    for (lab, numbers) in [&whole, &killed].into_iter().zip(&numbers) {
        lab.assert_nothing_left(numbers);
    }

    let again = labctl(&["down", "--all"]);
    assert!(again.status.success(), "with nothing to do, all is as asked: {}", text(&again.stderr));
}
