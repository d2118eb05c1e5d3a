//! YAML -> profiles. Every mistake has its place and its mend, and one run reports all of them.

mod fields;
pub(crate) mod firewall;
pub(crate) mod nat;

use fields::Fields;

use super::{FirewallProfile, NatProfile};
use crate::topology::document::Tree;
use crate::topology::problem::Problem;

/// Name of a profile that stands in the topology itself.
const INLINE: &str = "inline";

/// What every profile file says about itself.
struct About {
    title: String,
    description: String,
    references: Vec<String>,
}

/// A NAT behaviour that stands in a topology in the place of a profile's name.
pub(crate) fn inline_nat(tree: &Tree) -> Result<NatProfile, Vec<Problem>> {
    collect(|problems| {
        let behaviour = nat::behaviour(tree, problems);
        NatProfile {
            name: INLINE.to_owned(),
            title: "written in the topology".to_owned(),
            description: String::new(),
            references: Vec::new(),
            behaviour,
        }
    })
}

/// A firewall policy that stands in a topology in the place of a profile's name.
pub(crate) fn inline_firewall(tree: &Tree) -> Result<FirewallProfile, Vec<Problem>> {
    collect(|problems| {
        let about = About {
            title: "written in the topology".to_owned(),
            description: String::new(),
            references: Vec::new(),
        };
        let mut fields = Fields::of(tree, "a firewall", problems);
        let profile = firewall::profile(INLINE, about, &mut fields);
        fields.finish();
        profile
    })
}

/// A NAT profile file.
pub(super) fn nat_file(name: &str, tree: &Tree) -> Result<NatProfile, Vec<Problem>> {
    collect(|problems| {
        let mut fields = Fields::of(tree, "a NAT profile", problems);
        let about = About::read(&mut fields);
        let behaviour = fields.required("behaviour").and_then(|tree| nat::behaviour(tree, fields.problems()));
        fields.finish();
        NatProfile {
            name: name.to_owned(),
            title: about.title,
            description: about.description,
            references: about.references,
            behaviour,
        }
    })
}

/// A firewall profile file.
pub(super) fn firewall_file(name: &str, tree: &Tree) -> Result<FirewallProfile, Vec<Problem>> {
    collect(|problems| {
        let mut fields = Fields::of(tree, "a firewall profile", problems);
        let about = About::read(&mut fields);
        let profile = firewall::profile(name, about, &mut fields);
        fields.finish();
        profile
    })
}

impl About {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            title: fields
                .required("title")
                .and_then(|tree| fields.text(tree, "a line of text"))
                .unwrap_or_default(),
            description: fields.optional("description", "text", Fields::text).unwrap_or_default(),
            references: fields
                .optional("references", "an RFC section or a page", Fields::texts)
                .unwrap_or_default(),
        }
    }
}

fn collect<T>(read: impl FnOnce(&mut Vec<Problem>) -> T) -> Result<T, Vec<Problem>> {
    let mut problems = Vec::new();
    let value = read(&mut problems);
    if problems.is_empty() { Ok(value) } else { Err(problems) }
}
