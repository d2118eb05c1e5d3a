//! The page about real runs of logins, searches and calls, in a real browser. Needs root, and the node program next to
//! the tests' own directory (`cargo build -p overlay-node`). Where no Chromium is, what needs it is left out and said to
//! be; in CI (`CI=true`) that is a failure.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use labctl::experiment::recorded::{AnyRun, CallRun, LoginRun, SearchRun};
use labctl::report::html::{Calls, Searches, SetUp};

/// What the page is looked at with, in the order of preference.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Finds what is wrong with a page, and writes it into the page: a line for each problem, and how many plots there are.
const CHECK: &str = include_str!("report_page/check.js");

/// Two who call each other by a relay, so that everything is in the page: UDP, TCP, a NAT, media.
const TOPOLOGY: &str = "
name: page
title: A small lab for a page <with> & signs
seed: 7
wan:
  regions: [here]
  rtt: { here/here: 20ms, jitter: 5% }
overlay:
  host_cache: { entries: 8, stale: 0% }
nodes:
  login: { role: login-server }
  sn: { role: super-node, addresses: 8 }
  bob: { role: client }
sites:
  home:
    gateway: { nat: port-restricted }
    nodes: { alice: { role: client } }
experiment:
  measure: [alice]
  online: [bob]
";

fn labctl(arguments: &[&str], folder: &Path) -> Output {
    let output =
        Command::new(env!("CARGO_BIN_EXE_labctl")).args(arguments).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "labctl {arguments:?}: {said}");
    output
}

/// Takes the lab down however the test ends.
struct Lab<'a>(&'a Path);

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        let down = ["down", "--quiet", "--lab", "page"];
        let _ = Command::new(env!("CARGO_BIN_EXE_labctl")).args(down).current_dir(self.0).output();
    }
}

/// A run of each experiment, by name.
fn measured(folder: &Path) -> Vec<PathBuf> {
    fs::write(folder.join("lab.yaml"), TOPOLOGY).unwrap();
    let _lab = Lab(folder);
    labctl(&["up", "--quiet", "lab.yaml", "--runtime", "embedded"], folder);
    labctl(&["experiment", "login", "--lab", "page", "--trials", "2"], folder);
    labctl(&["experiment", "search", "--lab", "page"], folder);
    labctl(&["experiment", "call", "--lab", "page", "--seconds", "4"], folder);
    let mut runs: Vec<_> =
        fs::read_dir(folder.join("runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    runs.sort();
    assert_eq!(runs.len(), 3);
    runs
}

/// The bytes that are drawn are those that were counted, of the same capture.
fn bytes_add_up(runs: &[PathBuf]) {
    let (mut logins, mut searches, mut calls): (Vec<LoginRun>, Vec<SearchRun>, Vec<CallRun>) =
        Default::default();
    for run in runs {
        match AnyRun::read(run).unwrap() {
            AnyRun::Login(run) => logins.push(run),
            AnyRun::Search(run) => searches.push(run),
            AnyRun::Call(run) => calls.push(run),
        }
    }
    let logins = SetUp::gather(logins, |run, trial| run.packets(trial).map(Some)).unwrap();
    let login = logins[0].example.as_ref().unwrap();
    let counted = login.trial.seen.as_ref().unwrap().traffic.total().payload_bytes;
    assert_eq!(login.ladder.total_bytes(), counted);
    assert!(counted > 2_000, "a login with its certificate: {counted}");

    let searches = Searches::gather(searches, |run, search| run.packets(search).map(Some)).unwrap();
    assert_eq!(searches[0].examples.len(), 5, "a search of each case");
    for search in &searches[0].examples {
        let counted = search.record.traffic().unwrap().total().payload_bytes;
        assert_eq!(search.ladder.total_bytes(), counted, "{:?}", search.record.case);
        assert!(counted > 0);
    }

    let calls = Calls::gather(calls, CallRun::packets).unwrap();
    let call = calls[0].example.as_ref().unwrap();
    let record = &call.record;
    let parts = [record.until_answer, record.media.unwrap(), record.during];
    let counted: u64 = parts.iter().map(|part| part.total().payload_bytes).sum();
    assert_eq!(call.ladder.total_bytes(), counted);
    // Four seconds of 4,733 bytes each way, and half of that at the least.
    assert!(counted > 18_000, "{counted}");
    assert!(call.ladder.messages.len() < 200, "media are told together: {}", call.ladder.messages.len());
    let sent: Vec<_> = call.ways.iter().map(|way| (way.sent_s.len(), way.came.len())).collect();
    let told: Vec<_> = record.ways.iter().map(|way| (way.sent, way.received)).collect();
    assert_eq!(sent.iter().map(|&(sent, came)| (sent as u64, came as u64)).collect::<Vec<_>>(), told);
}

#[test]
fn the_page_about_real_runs_adds_up_and_is_right_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let runs = measured(folder.path());
    bytes_add_up(&runs);
    let mut arguments = vec!["report", "--html", "page.html"];
    arguments.extend(runs.iter().map(|run| run.to_str().unwrap()));
    labctl(&arguments, folder.path());
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(!page.contains("They differ") && page.contains("&lt;with&gt; &amp; signs"));

    let Some(browser) = browser() else { return };
    let browser = Browser { program: browser, folder: folder.path() };
    // Login times twice, a login; latencies twice, five searches; times to the answer, MOS, media three times, a call; and
    // the topology.
    let plots = 3 + 2 + 5 + 2 + 3 + 1 + 1;
    for (window, dark) in [("1280,16000", false), ("1280,16000", true), ("500,16000", false)] {
        let found = browser.problems(&page, window, dark);
        assert_eq!(found, [format!("plots: {plots}")], "window {window}, dark {dark}");
    }
    assert_eq!(browser.console(&page), Vec::<String>::new());
    browser.prints();
}

/// The check itself must be able to fail.
#[test]
fn a_page_that_is_wrong_is_found_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let Some(browser) = browser() else { return };
    let browser = Browser { program: browser, folder: folder.path() };
    let page = "<!DOCTYPE html><html lang=en><title>x</title><body style='background:#fff'>\
        <p style='color:#ccc'>pale</p><div style='width:3000px'>wide</div>\
        <svg class=plot viewBox='0 0 100 100' width=100 height=100><text x=90 y=50>beyond the edge</text></svg>\
        <svg class=plot viewBox='0 0 1 1' width=300 height=200></svg>\
        <script>console.error('alas')</script></body></html>";
    let found = browser.problems(page, "1280,900", false).join("\n");
    for problem in ["contrast of 'pale'", "wider than the window", "'beyond the edge' is outside", "is empty"]
    {
        assert!(found.contains(problem), "{problem}: {found}");
    }
    let console = browser.console(page);
    assert!(console.iter().any(|line| line.contains("alas")), "{console:?}");
}

/// The browser of this machine; `None` and a word about it if there is none, which CI does not take.
fn browser() -> Option<&'static str> {
    let there = |name: &&&str| {
        let mut command = Command::new(name);
        let version = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    };
    let found = BROWSERS.iter().find(there).copied();
    if found.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "no browser of {BROWSERS:?} is here, and in CI the page is looked at"
        );
        // Not by eprintln!, which a test that passes keeps to itself.
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"NOT RUN: no Chromium is here, so the page was not looked at in a browser ('apt-get install chromium')\n",
        );
    }
    found
}

struct Browser<'a> {
    program: &'static str,
    folder: &'a Path,
}

impl Browser<'_> {
    /// Runs it without a window on a page.
    fn run(&self, page: &str, options: &[&str]) -> Output {
        let file = self.folder.join("looked-at.html");
        fs::write(&file, page).unwrap();
        let profile = tempfile::tempdir().unwrap();
        let output = Command::new(self.program)
            // As root there is no sandbox, and what is looked at is labctl's own.
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(options)
            .arg(format!("file://{}", file.display()))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// What the check finds, a line each; the last line says how many plots there are.
    fn problems(&self, page: &str, window: &str, dark: bool) -> Vec<String> {
        let (before, after) = page.rsplit_once("</body>").unwrap();
        let page = format!("{before}<script>{CHECK}</script></body>{after}");
        let scheme = format!("--blink-settings=preferredColorScheme={}", u8::from(!dark));
        let output = self.run(&page, &["--dump-dom", &format!("--window-size={window}"), &scheme]);
        let document = String::from_utf8(output.stdout).unwrap();
        let found = document.split_once("<pre id=\"found\">").unwrap().1.split_once("</pre>").unwrap().0;
        let scheme = if dark { "scheme: dark" } else { "scheme: light" };
        let (told, found): (Vec<&str>, Vec<&str>) =
            found.lines().partition(|line| line.starts_with("scheme: "));
        assert_eq!(told, [scheme]);
        found.into_iter().map(str::to_owned).collect()
    }

    /// What the page writes to the browser's console.
    fn console(&self, page: &str) -> Vec<String> {
        let output = self.run(page, &["--dump-dom", "--enable-logging=stderr", "--v=0"]);
        let said = String::from_utf8_lossy(&output.stderr);
        said.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect()
    }

    /// Prints the page that was looked at last.
    fn prints(&self) {
        let (page, pdf) = (self.folder.join("looked-at.html"), self.folder.join("page.pdf"));
        let text = fs::read_to_string(page).unwrap();
        self.run(&text, &[&format!("--print-to-pdf={}", pdf.display())]);
        assert!(fs::read(pdf).unwrap().starts_with(b"%PDF-"));
    }
}
