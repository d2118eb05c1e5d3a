//! `labctl down --all`. Needs root and Docker Engine, and a machine without other labs: it is a test
//! binary of its own, so that no other test's labs run beside it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod lab_common;

use lab_common::{TestLab, labctl, text, up_until};

#[test]
fn down_all_removes_whole_labs_and_what_a_killed_up_left() {
    let listed = labctl(&["ps", "--json"]);
    let labs: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let others = labs["labs"].as_array().unwrap();
    if !others.is_empty() {
        // In CI this is a failure; on somebody's machine their labs are worth more than this test.
        assert!(std::env::var_os("CI").is_none(), "other labs are up: {labs}");
        eprintln!("NOT RUN: other labs are up on this machine");
        return;
    }

    let (whole, killed) = (TestLab::new(), TestLab::new());
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
