use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use self::by_hand::{calls, logins, packets, page, run, searches};
use super::*;
use crate::meter::Packet;

mod by_hand;

/// What a parser that follows the standard finds.
#[derive(Default)]
pub(super) struct Found {
    pub(super) errors: RefCell<Vec<String>>,
    pub(super) tags: RefCell<Vec<Tag>>,
}

impl TokenSink for Found {
    type Handle = ();

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<()> {
        match token {
            Token::ParseError(error) => self.errors.borrow_mut().push(format!("line {line}: {error}")),
            Token::TagToken(tag) => self.tags.borrow_mut().push(tag),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

pub(super) fn parsed(page: &str) -> Found {
    let tokenizer =
        Tokenizer::new(Found::default(), TokenizerOpts { exact_errors: true, ..TokenizerOpts::default() });
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(page));
    // It stops before the end only where a script does.
    let _ = tokenizer.feed(&input);
    assert!(input.is_empty());
    tokenizer.end();
    tokenizer.sink
}

/// Elements that have no end tag.
pub(super) const VOID: [&str; 4] = ["br", "link", "meta", "img"];

#[test]
fn the_page_is_well_formed() {
    let found = parsed(&page());
    assert_eq!(*found.errors.borrow(), Vec::<String>::new());
    let mut open = Vec::new();
    for tag in found.tags.borrow().iter() {
        let name = tag.name.to_string();
        match tag.kind {
            TagKind::StartTag if tag.self_closing || VOID.contains(&name.as_str()) => {}
            TagKind::StartTag => open.push(name),
            TagKind::EndTag => assert_eq!(open.pop(), Some(name)),
        }
    }
    assert_eq!(open, Vec::<String>::new());
}

#[test]
fn ids_are_unique_and_what_is_named_by_one_is_there() {
    let found = parsed(&page());
    let (mut ids, mut named) = (HashSet::new(), Vec::new());
    for tag in found.tags.borrow().iter() {
        for attribute in &tag.attrs {
            match &*attribute.name.local {
                "id" => assert!(ids.insert(attribute.value.to_string()), "{} twice", attribute.value),
                "aria-labelledby" => named.extend(attribute.value.split(' ').map(str::to_owned)),
                "href" => named.extend(attribute.value.strip_prefix('#').map(str::to_owned)),
                _ => {}
            }
        }
    }
    assert!(!named.is_empty());
    for name in named {
        assert!(ids.contains(&name), "{name}");
    }
}

#[test]
fn nothing_outside_the_page_is_asked_for() {
    let page = page();
    for tag in parsed(&page).tags.borrow().iter() {
        assert!(!["script", "img", "iframe", "object", "use", "image"].contains(&&*tag.name), "{tag:?}");
        for attribute in &tag.attrs {
            let fetches = ["src", "href", "srcset", "xlink:href", "data", "action"];
            if fetches.contains(&&*attribute.name.local) {
                let within = attribute.value.starts_with('#');
                assert!(within || &*attribute.value == "data:,", "{tag:?}");
            }
        }
    }
    assert!(!page.contains("url(") && !page.contains("@import"));
    assert!(!page.contains("://"), "an address in the page");
}

#[test]
fn pictures_have_words_and_tables_have_captions_and_scopes() {
    let found = parsed(&page());
    let mut count = BTreeMap::new();
    for tag in found.tags.borrow().iter().filter(|tag| tag.kind == TagKind::StartTag) {
        *count.entry(tag.name.to_string()).or_insert(0) += 1;
        let has = |name: &str| tag.attrs.iter().any(|attribute| &*attribute.name.local == name);
        match &*tag.name {
            "svg" => assert!(has("role") && has("aria-labelledby"), "{tag:?}"),
            "th" => assert!(has("scope"), "{tag:?}"),
            _ => {}
        }
    }
    assert_eq!(count["table"], count["caption"]);
    // Login times twice, latencies twice, times to the answer. Ladders of two set-ups, of a search and of a call,
    // and the call's media three times. Three topologies.
    assert_eq!((count["svg"], count["desc"]), (5 + 4 + 3 + 3, 15));
}

#[test]
fn each_figure_is_judged_by_itself() {
    let material = Material { logins: logins(), ..Material::default() };
    let page = render(&material);
    // Exp A takes 9 s here and has 5 bytes; Exp C takes 34 s.
    assert_eq!((page.matches("✓ pass").count(), page.matches("✗ FAIL").count()), (1, 3));
    assert!(page.contains("What failed") && page.contains("none answered"));
    // 4,733 bytes a second and 71 a packet are within a tenth of 5,000 and 67, both ways.
    let page = render(&Material { calls: calls(&mut |captures| captures), ..Material::default() });
    assert_eq!((page.matches("✓ pass").count(), page.matches("✗ FAIL").count()), (4, 0));
}

#[test]
fn the_ladder_and_the_table_count_the_same_bytes() {
    let [set_up, _] = &logins()[..] else { panic!() };
    let example = set_up.example.as_ref().unwrap();
    assert_eq!(Some(example.ladder.total_bytes()), set_up.row.payload_bytes.map(|spread| spread.median));
    assert!(!page().contains("They differ"));
    let nothing = || Ok::<_, ()>(Some(Vec::new()));
    for other in [
        Material {
            logins: SetUp::gather(vec![run("expC", 34.0)], |_, _| nothing()).unwrap(),
            ..Material::default()
        },
        Material { searches: searches(Vec::new), ..Material::default() },
        Material { calls: calls(&mut |_| [Vec::new(), Vec::new()]), ..Material::default() },
    ] {
        assert!(render(&other).contains("They differ"));
    }
}

#[test]
fn a_record_without_the_bytes_of_media_is_said_to_have_none() {
    let mut calls = calls(&mut |captures| captures);
    calls[0].example.as_mut().unwrap().record.media = None;
    let page = render(&Material { calls, ..Material::default() });
    assert!(page.contains("none in this record") && !page.contains("They differ"));
}

#[test]
fn the_page_has_the_commands_that_measure_it_again() {
    let page = page();
    for command in [
        "labctl experiment login expC --trials 3 --seed 7\n",
        "labctl experiment search lab.yaml --trials 3 --seed 7 --parallel 2\n",
        "labctl experiment call expA --trials 3 --seed 7 --from alice --to bob --seconds 20<",
        "jq -r .topology run.json",
    ] {
        assert!(page.contains(command), "{command}");
    }
}

#[test]
fn runs_of_one_set_up_are_put_together() {
    let runs = vec![run("expC", 33.0), run("expC", 35.0), run("expA", 4.0)];
    let set_ups = SetUp::gather(runs, |_, _| Ok::<_, ()>(None)).unwrap();
    let names: Vec<_> = set_ups.iter().map(|one| (one.name.as_str(), one.runs.len())).collect();
    assert_eq!(names, [("expA", 1), ("expC", 2)]);
    assert_eq!((set_ups[1].row.trials, set_ups[1].row.failed), (6, 2));
    assert!(set_ups[1].example.is_none());
    let page = render(&Material { logins: set_ups, ..Material::default() });
    assert!(page.contains("No login that succeeded"));
    assert!(page.contains("login expC --trials 6 --seed 7"), "shares of one experiment");
}

#[test]
fn a_page_about_ninety_trials_is_small() {
    let runs = ["expA", "expB", "expC"].map(|name| {
        let mut run = run(name, 5.0);
        let trials = run.trials.clone();
        run.trials = std::iter::repeat_n(trials, 10).flatten().collect();
        run
    });
    let long: Vec<Packet> = std::iter::repeat_n(packets(), 300).flatten().collect();
    let logins = SetUp::gather(runs.into(), |_, _| Ok::<_, ()>(Some(long.clone()))).unwrap();
    assert_eq!(logins.iter().map(|one| one.row.trials).sum::<usize>(), 90);
    assert!(render(&Material { logins, ..Material::default() }).len() < 3_000_000);
}
