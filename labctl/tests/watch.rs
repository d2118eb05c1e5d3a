//! `labctl watch` and `labctl top` in a real terminal, on a real lab. Needs root and tmux.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod lab_common;
mod screen_common;

use lab_common::{LABCTL, On, TestLab, labctl, text};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use screen_common::Screen;
use serde_json::Value;

fn lab() -> TestLab {
    let lab = TestLab::new().with(On::Embedded);
    lab.up();
    lab
}

/// Logs the lab's clients in, once each.
fn log_in(lab: &TestLab) {
    let runs = tempfile::tempdir().unwrap();
    let runs = runs.path().to_str().unwrap();
    let output = lab_experiment(lab, runs);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

fn lab_experiment(lab: &TestLab, runs: &str) -> std::process::Output {
    labctl(&["experiment", "login", "--lab", &lab.name, "--first-time", "--quiet", "--runs", runs])
}

/// Everything of the terminal is as a shell wants it.
fn assert_restored(screen: &Screen) {
    assert!(!screen.is_full_screen());
    let settings = screen.settings();
    let words: Vec<_> = settings.split([' ', ';', '\n']).collect();
    for mode in ["icanon", "echo", "isig", "opost"] {
        assert!(words.contains(&mode), "{mode} is off: {settings}");
    }
}

#[test]
fn a_lab_is_watched_until_the_user_has_seen_enough() {
    let lab = lab();
    let screen = Screen::new(&format!("{LABCTL} watch {}", lab.name), 120, 40);
    screen.wait_for("nodes that are up", |shown| {
        ["home-1", "user-2", "sn-3", "idle", "serving", " engine, "].iter().all(|text| shown.contains(text))
    });
    assert!(screen.is_full_screen());
    screen.wait_for("no mapping", |shown| shown.contains("no mapping"));
    log_in(&lab);
    // The first row is the gateway of the first home.
    screen.wait_for("a mapping", |shown| {
        let inside = shown.contains("192.168.1.2:") && shown.contains("198.18.0.");
        inside && shown.contains("NAT of home-1") && !shown.contains("no mapping")
    });
    screen.wait_for("the login", |shown| shown.contains("user-1 login: logged in"));
    lab.kill_node("sn-3");
    screen.wait_for("the end of a node", |shown| shown.contains("1 NOT UP"));
    screen.press(&["/"]);
    screen.press(&["-l", "sn-"]);
    screen.press(&["Enter"]);
    screen.wait_for("a filter", |shown| shown.contains("nodes 3 of 8") && !shown.contains("user-2  client"));
    screen.press(&["Escape"]);
    for (columns, rows) in [(80, 24), (40, 12), (10, 3), (100, 30)] {
        screen.resize(columns, rows);
        let seen = if columns == 10 { "larger" } else { "home-1" };
        screen.wait_for("another size", |shown| {
            shown.lines().count() <= usize::from(rows) && shown.contains(seen)
        });
    }
    screen.press(&["q"]);
    screen.wait_for("the end", |shown| shown.contains("ENDED 0"));
    assert_restored(&screen);
}

#[test]
fn a_terminal_is_as_before_after_a_signal() {
    let lab = lab();
    let screen = Screen::new(&format!("{LABCTL} watch {}", lab.name), 80, 24);
    screen.wait_for("the lab", |shown| shown.contains("home-1"));
    assert!(screen.is_full_screen());
    kill(Pid::from_raw(screen.child()), Signal::SIGTERM).unwrap();
    screen.wait_for("the end", |shown| shown.contains("ended by SIGTERM") && shown.contains("ENDED 1"));
    assert_restored(&screen);
}

#[test]
fn links_are_shown_live_and_printed_where_there_is_no_terminal() {
    let lab = lab();
    let screen = Screen::new(&format!("{LABCTL} top {} --sort name", lab.name), 120, 20);
    screen.wait_for("links", |shown| shown.contains("links 6, by name") && shown.contains("home-2"));
    screen.press(&["s"]);
    screen.wait_for("another order", |shown| shown.contains("by rate"));
    screen.press(&["C-c"]);
    screen.wait_for("the end", |shown| shown.contains("ENDED 0"));
    assert_restored(&screen);

    let down = labctl(&["link", "down", "--lab", &lab.name, "home-1"]);
    assert!(down.status.success(), "{}", text(&down.stderr));
    let once = labctl(&["top", &lab.name, "--once", "--interval", "200ms", "--filter", "home"]);
    let printed = text(&once.stdout);
    assert!(once.status.success(), "{}", text(&once.stderr));
    assert!(printed.contains("home-1") && printed.contains("DOWN") && !printed.contains("sn-1"), "{printed}");
    let json = labctl(&["top", "--lab", &lab.name, "--once", "--json", "--interval", "200ms"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["schema"], "labctl.top/1");
    assert_eq!((json["links"].as_array().unwrap().len(), &json["totals"]["links_down"]), (6, &1.into()));
    assert!(json["interval_s"].as_f64().unwrap() >= 0.2, "{json}");
    let without = labctl(&["watch", &lab.name]);
    assert!(
        !without.status.success() && text(&without.stderr).contains("mend:"),
        "{}",
        text(&without.stderr)
    );
}
