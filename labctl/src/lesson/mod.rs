//! Lessons: the lab of each, its questions, and whether answers are right.
//!
//! No answer is written down here. A question says where the truth is (`truth`): in the records of the
//! student's own run, in the kernel of the running lab, or in what the lab was made from.

mod question;
mod truth;

use std::path::Path;

use serde_json::Value;

use crate::lab::Lab;
use crate::names::LabName;
pub use question::Question;
pub use truth::{Truth, TruthError};

/// A lesson.
#[derive(Clone, Copy, Debug)]
pub struct Lesson {
    /// Its number, from 1.
    pub number: u8,
    /// What it is about.
    pub title: &'static str,
    /// The shipped topology that its lab is made from.
    pub topology: &'static str,
    questions: &'static str,
}

macro_rules! lessons {
    ($($number:literal $title:literal $topology:literal),+ $(,)?) => {
        /// All lessons, in order.
        pub const LESSONS: &[Lesson] = &[$(Lesson {
            number: $number,
            title: $title,
            topology: $topology,
            questions: include_str!(concat!("../../../docs/labs/questions/", $number, ".yaml")),
        }),+];
    };
}

lessons! {
    1 "NAT types, and how STUN sees them" "natTypes",
    2 "Login in A, B and C" "classroom",
    3 "Hole punching by hand" "punching",
    4 "Search and the super nodes" "classroom",
    5 "Calls, relays and voice quality" "classroom",
}

impl Lesson {
    /// The lesson of that number.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        LESSONS.iter().find(|lesson| lesson.number == number).copied()
    }

    /// Name of its lab.
    ///
    /// # Panics
    ///
    /// Never: it is a name.
    #[must_use]
    pub fn lab(&self) -> LabName {
        format!("lesson{}", self.number).parse().expect("letters and a digit make a name")
    }

    /// The handout, in the project's folder.
    #[must_use]
    pub fn handout(&self) -> String {
        format!("docs/labs/lesson-{}.md", self.number)
    }

    /// Its questions that a program can check.
    ///
    /// # Panics
    ///
    /// Never: a test reads them all.
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        serde_yaml::from_str(self.questions).expect("a test reads every question")
    }
}

/// How an answer was.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It agrees with what was found.
    Right,
    /// It does not.
    Wrong,
    /// There is none.
    Missing,
}

/// A question with its answer and the truth.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The question.
    pub question: Question,
    /// The answer, as it was written.
    pub answer: Option<Value>,
    /// What was found.
    pub truth: Truth,
    /// How the answer was.
    pub verdict: Verdict,
}

/// Checks answers against the lab and the records below `runs`.
///
/// # Errors
///
/// If the truth of a question cannot be found: something that the lesson asks for was not done yet.
pub async fn check(
    lesson: &Lesson,
    answers: &std::collections::BTreeMap<String, Value>,
    lab: &Lab,
    runs: &Path,
) -> Result<Vec<Checked>, TruthError> {
    let mut checked = Vec::new();
    for question in lesson.questions() {
        let truth = truth::of(&question, lab, runs).await?;
        let answer = answers.get(&question.id).cloned();
        let verdict = match &answer {
            None | Some(Value::Null) => Verdict::Missing,
            Some(answer) if truth.agrees(answer, question.within) => Verdict::Right,
            Some(_) => Verdict::Wrong,
        };
        checked.push(Checked { question, answer, truth, verdict });
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::shipped;

    #[test]
    fn every_lesson_has_a_handout_answers_a_topology_and_questions() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for lesson in LESSONS {
            let handout = std::fs::read_to_string(root.join(lesson.handout())).unwrap();
            assert!(root.join(format!("docs/labs/answers/lesson-{}.md", lesson.number)).is_file());
            assert!(shipped().any(|(name, _)| name == lesson.topology), "{}", lesson.topology);
            assert!(!lesson.questions().is_empty());
            for question in lesson.questions() {
                assert!(
                    handout.contains(&format!("`{}`", question.id)),
                    "{}: {}",
                    lesson.handout(),
                    question.id
                );
            }
        }
    }
}
