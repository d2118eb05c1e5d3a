//! The rules of many gateways from few program starts.
//!
//! Of gateways whose rules differ in their outside addresses only, the first two get them from `nft` and
//! `iptables-restore`. What the kernel made of them is read back, and from then on it is told that directly
//! ([`Snapshot`], [`Template`]). What comes of this is read back once and compared. Where anything is not as
//! it should be (iptables that is not built on nftables, rules that hold an address in another form), the
//! programs are run for every gateway.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::super::{NetError, NetNs};
use super::program::{self, Program};
use super::snapshot::{self, Snapshot};
use super::template::{Sample, Template};

/// The rules of a gateway.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// For `nft`; empty: none.
    pub nft: &'a str,
    /// For `iptables-restore`; empty: none.
    pub iptables: &'a str,
    /// The gateway's outside addresses.
    pub outside: &'a [Ipv4Addr],
}

/// What has given a gateway its rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// There are none.
    Nothing,
    /// `nft` and `iptables-restore`.
    Programs,
    /// The messages that these have sent for others like it.
    Messages,
}

/// Two gateways teach.
const TEACHERS: usize = 2;

/// What is known of rules that differ in outside addresses only.
struct Lesson {
    state: Mutex<State>,
    /// Others wait while these teach.
    teachers: Semaphore,
}

enum State {
    /// Nothing yet.
    New,
    /// One gateway has taught.
    Sampled(Sample),
    /// Two have; it has not been tried.
    Untried(Arc<Template>),
    /// It has been tried.
    Known(Arc<Template>),
    /// It cannot be done so.
    Hopeless,
}

/// All lessons of this process, by the texts of the rules without the outside addresses. What the kernel
/// makes of a text does not change while a process runs.
static LESSONS: LazyLock<Mutex<HashMap<String, Arc<Lesson>>>> = LazyLock::new(Mutex::default);

/// Gives a gateway its rules. `namespace` has none yet.
///
/// # Panics
///
/// Never: the semaphore inside is not closed.
pub async fn apply_first(namespace: &NetNs, rules: Rules<'_>) -> Result<Way, NetError> {
    if rules.nft.trim().is_empty() && rules.iptables.trim().is_empty() {
        return Ok(Way::Nothing);
    }
    let lesson = lock(&LESSONS).entry(key(rules)).or_insert_with(Lesson::new).clone();
    if let Some(template) = lesson.known() {
        return lesson.follow(namespace, rules, &template).await;
    }
    let turn = lesson.teachers.acquire().await.expect("the semaphore is never closed");
    let step = lesson.next();
    match step {
        Next::Follow(template) => lesson.follow(namespace, rules, &template).await,
        Next::Try(template) => lesson.attempt(namespace, rules, template).await,
        Next::Run => {
            drop(turn);
            run(namespace, rules).await
        }
        Next::Teach => {
            let way = run(namespace, rules).await?;
            lesson.teach(namespace, rules).await?;
            Ok(way)
        }
    }
}

/// Runs the programs.
async fn run(namespace: &NetNs, rules: Rules<'_>) -> Result<Way, NetError> {
    program::apply(namespace, Program::Nft, rules.nft).await?;
    program::apply(namespace, Program::IptablesRestore, rules.iptables).await?;
    Ok(Way::Programs)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is done under these locks leaves them half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Next {
    Follow(Arc<Template>),
    Try(Arc<Template>),
    Run,
    Teach,
}

impl Lesson {
    fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::New), teachers: Semaphore::new(TEACHERS) })
    }

    fn known(&self) -> Option<Arc<Template>> {
        match &*lock(&self.state) {
            State::Known(template) => Some(template.clone()),
            _ => None,
        }
    }

    fn next(&self) -> Next {
        match &*lock(&self.state) {
            State::New | State::Sampled(_) => Next::Teach,
            State::Untried(template) => Next::Try(template.clone()),
            State::Known(template) => Next::Follow(template.clone()),
            State::Hopeless => Next::Run,
        }
    }

    fn set(&self, state: State) {
        *lock(&self.state) = state;
    }

    fn give_up(&self, namespace: &NetNs, reason: &str) {
        tracing::debug!(namespace = namespace.name(), reason, "rules are applied by programs, one by one");
        self.set(State::Hopeless);
    }

    /// Learns from a gateway that has got its rules from the programs.
    async fn teach(&self, namespace: &NetNs, rules: Rules<'_>) -> Result<(), NetError> {
        let snapshot = match namespace.run_async(Snapshot::read_here).await? {
            Ok(snapshot) if !snapshot.is_empty() => snapshot,
            Ok(_) => {
                self.give_up(namespace, "the kernel's nftables does not have them");
                return Ok(());
            }
            Err(error) => {
                self.give_up(namespace, &error.to_string());
                return Ok(());
            }
        };
        let sample = Sample { outside: rules.outside.to_vec(), rules: snapshot };
        let mut state = lock(&self.state);
        match &*state {
            State::New => *state = State::Sampled(sample),
            // The same addresses teach nothing new.
            State::Sampled(first) if first.outside != sample.outside => {
                *state = match Template::learn(first, &sample) {
                    Some(template) => State::Untried(Arc::new(template)),
                    None => State::Hopeless,
                };
            }
            _ => {}
        }
        Ok(())
    }

    /// Follows a template for the first time, and looks whether it does what it should.
    async fn attempt(
        &self,
        namespace: &NetNs,
        rules: Rules<'_>,
        template: Arc<Template>,
    ) -> Result<Way, NetError> {
        let batch = template.batch(rules.outside);
        let tried = namespace.run_async(move || {
            snapshot::write_here(&batch)?;
            Snapshot::read_here()
        });
        match tried.await? {
            Ok(made) if made.sorted() == template.expected(rules.outside).sorted() => {
                self.set(State::Known(template));
                Ok(Way::Messages)
            }
            Ok(_) => {
                self.give_up(namespace, "the kernel made something else of them");
                program::apply(namespace, Program::Nft, "flush ruleset\n").await?;
                run(namespace, rules).await
            }
            // All or nothing: nothing.
            Err(error) => {
                self.give_up(namespace, &error.to_string());
                run(namespace, rules).await
            }
        }
    }

    async fn follow(
        &self,
        namespace: &NetNs,
        rules: Rules<'_>,
        template: &Template,
    ) -> Result<Way, NetError> {
        let batch = template.batch(rules.outside);
        let write = move |namespace: &NetNs| {
            snapshot::write_here(&batch).map_err(|source| NetError::Namespace {
                name: namespace.name().to_owned(),
                action: "apply its rules",
                source,
            })
        };
        namespace.visit(write).await.map(|()| Way::Messages)
    }
}

/// The texts with a mark in the place of each outside address.
fn key(rules: Rules<'_>) -> String {
    let marked = |text: &str| {
        let mut marked = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, from) = rest.split_at(start);
            let end = from.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(from.len());
            let (number, after) = from.split_at(end);
            marked.push_str(before);
            let address = number.parse::<Ipv4Addr>().ok();
            match address.and_then(|address| rules.outside.iter().position(|own| *own == address)) {
                Some(index) => marked.extend(["\u{1}", &index.to_string(), "\u{1}"]),
                None => marked.push_str(number),
            }
            rest = after;
        }
        marked.push_str(rest);
        marked
    };
    // The number of addresses matters even if not all are in the texts.
    format!("{}\u{2}{}\u{2}{}", rules.outside.len(), marked(rules.nft), marked(rules.iptables))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_differ_in_outside_addresses_have_one_key() {
        let key = |nft: &str, outside: &[&str]| {
            let outside: Vec<_> = outside.iter().map(|address| address.parse().unwrap()).collect();
            key(Rules { nft, iptables: "", outside: &outside })
        };
        let one = key("snat to 198.18.0.5:1-2, 198.18.0.50", &["198.18.0.5"]);
        assert_eq!(one, key("snat to 198.18.0.7:1-2, 198.18.0.50", &["198.18.0.7"]));
        assert_ne!(one, key("snat to 198.18.0.7:1-2, 198.18.0.70", &["198.18.0.7"]));
        let two = key("10.0.0.2 10.0.0.3", &["10.0.0.2", "10.0.0.3"]);
        assert_eq!(two, key("10.0.0.8 10.0.0.9", &["10.0.0.8", "10.0.0.9"]));
        assert_ne!(two, key("10.0.0.9 10.0.0.8", &["10.0.0.8", "10.0.0.9"]));
    }
}
