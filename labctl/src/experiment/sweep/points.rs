//! What each value of a sweep makes of a lab.

use std::collections::BTreeSet;

use super::SweepError;
use super::spec::{Sweep, Target};
use super::values::Value;
use crate::lab::LabError;
use crate::lab::wan::link_of;
use crate::link::Ways;
use crate::names::NodeName;
use crate::net::wan::EngineKind;
use crate::plan::Plan;
use crate::topology::{Setting, TopologyErrors};

/// One value, with what the lab is like then.
#[derive(Clone, Debug)]
pub struct Point {
    /// The value.
    pub value: Value,
    /// The plan with it.
    pub plan: Plan,
}

/// A sweep in a lab.
#[derive(Clone, Debug)]
pub struct Points {
    /// What is swept.
    pub parameter: String,
    /// Unit of the values' numbers.
    pub unit: String,
    /// The access links that have the values, both ways; empty if it is no property of links.
    pub links: Vec<String>,
    /// What a lab is like without the sweep.
    pub base: Plan,
    /// The points, at least two, in the order in which they are measured.
    pub all: Vec<Point>,
}

/// Makes a topology's plan anew with one value changed.
pub type Replan<'a> = &'a dyn Fn(&Setting) -> Result<Plan, TopologyErrors>;

impl Points {
    /// For a lab that is like `base`. What is swept of links is swept at those of `clients` unless it names one.
    /// `replan` makes the plan of a topology with another value; `None` for a lab that runs.
    pub fn new(
        sweep: &Sweep,
        base: Plan,
        clients: &[NodeName],
        replan: Option<Replan<'_>>,
    ) -> Result<Self, SweepError> {
        let parameter = sweep.parameter.clone();
        let (links, plans) = match &sweep.target {
            Target::Links { of, settings } => {
                let names = of.as_ref().map_or_else(
                    || clients.iter().map(ToString::to_string).collect(),
                    |name| vec![name.clone()],
                );
                let links = links(&base, &names)
                    .map_err(|error| SweepError::Link { parameter: parameter.clone(), error })?;
                if links.is_empty() {
                    return Err(SweepError::NoLink { parameter });
                }
                let plan = |setting| {
                    let mut plan = base.clone();
                    let swept = plan.wan.attachments.iter_mut().filter(|at| links.contains(at.name.as_str()));
                    swept.for_each(|at| at.access.set(Ways::Both, setting));
                    plan
                };
                (links.iter().cloned().collect(), settings.iter().copied().map(plan).collect())
            }
            Target::Topology { settings } => {
                let Some(replan) = replan else { return Err(SweepError::Running { parameter }) };
                let plans = settings.iter().zip(&sweep.values).zip(1..).map(|((setting, value), number)| {
                    replan(setting).map_err(|error| {
                        let (parameter, value) = (parameter.clone(), value.text.clone());
                        SweepError::Topology { parameter, number, value, error }
                    })
                });
                (Vec::new(), plans.collect::<Result<Vec<_>, _>>()?)
            }
        };
        let all =
            sweep.values.iter().cloned().zip(plans).map(|(value, plan)| Point { value, plan }).collect();
        Ok(Self { parameter, unit: sweep.unit.clone(), links, base, all })
    }

    /// The labs that it takes, one after another: what each is made from, and how many of the points are measured in
    /// it. Where the WAN has a schedule, what it changes must not be left over for the next value; and its begin
    /// makes links as in the plan that the lab was made from, so that it must be the value's own.
    #[must_use]
    pub fn labs(&self) -> Vec<(&Plan, &[Point])> {
        let scheduled = !self.base.schedule.is_empty();
        let as_base = |point: &Point| is_same_lab(&self.base, &point.plan);
        let in_one = |one: &Point, next: &Point| {
            !scheduled && ((as_base(one) && as_base(next)) || is_same_lab(&one.plan, &next.plan))
        };
        let chunks = self.all.chunk_by(in_one);
        let from_base = |first: &Point| !scheduled && as_base(first);
        chunks.map(|some| (if from_base(&some[0]) { &self.base } else { &some[0].plan }, some)).collect()
    }

    /// The engine for every lab that it takes: `choose` says which one a plan gets. The kernel's only if every value
    /// gets it, since what one engine measures is not to be compared with what the other does.
    ///
    /// # Errors
    ///
    /// If one of the values cannot have the engine that is asked for.
    pub fn engine(
        &self,
        choose: impl Fn(&Plan) -> Result<EngineKind, LabError>,
    ) -> Result<EngineKind, SweepError> {
        let wrong = |at: &str, error| SweepError::Engine {
            parameter: self.parameter.clone(),
            at: at.to_owned(),
            error: Box::new(error),
        };
        let mut engines = Vec::new();
        for point in &self.all {
            let at = format!(", value '{}'", point.value.text);
            engines.push(choose(&point.plan).map_err(|error| wrong(&at, error))?);
        }
        for (made, _) in self.labs() {
            engines.push(choose(made).map_err(|error| wrong("", error))?);
        }
        let all_in_kernel = engines.iter().all(|engine| *engine == EngineKind::Kernel);
        Ok(if all_in_kernel { EngineKind::Kernel } else { EngineKind::User })
    }
}

/// The access links of nodes, gateways or sites, each once.
fn links(plan: &Plan, names: &[String]) -> Result<BTreeSet<String>, LabError> {
    names.iter().map(|name| Ok(link_of(plan, name)?.name.to_string())).collect()
}

/// True if a lab of one plan can become one of the other while it runs: they differ in access links, and in what
/// experiments put into host caches.
fn is_same_lab(one: &Plan, other: &Plan) -> bool {
    let mut like_other = one.clone();
    for (at, other) in like_other.wan.attachments.iter_mut().zip(&other.wan.attachments) {
        at.access = other.access;
    }
    if let (Some(overlay), Some(other)) = (&mut like_other.overlay, &other.overlay) {
        overlay.host_cache_entries = other.host_cache_entries;
        overlay.host_cache_stale = other.host_cache_stale;
        overlay.unassigned.clone_from(&other.unassigned);
    }
    like_other == *other
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lab::EngineChoice;
    use crate::link::{self, Loss};
    use crate::net::wan::kernel::fit::Abilities;
    use crate::profile::Catalogue;
    use crate::topology::{Overrides, parse, shipped};

    fn plan(set: &[Setting]) -> Result<Plan, TopologyErrors> {
        let (_, text) = shipped().find(|(name, _)| *name == "expC").unwrap();
        let overrides = Overrides { set: set.to_vec(), ..Overrides::default() };
        Ok(Plan::new(&parse(text, "expC", &Catalogue::shipped(), &overrides)?))
    }

    fn points(text: &str, clients: &[&str]) -> Result<Points, SweepError> {
        let clients: Vec<NodeName> = clients.iter().map(|name| name.parse().unwrap()).collect();
        let replan = |setting: &Setting| plan(std::slice::from_ref(setting));
        Points::new(&text.parse().unwrap(), plan(&[]).unwrap(), &clients, Some(&replan))
    }

    #[test]
    fn links_of_the_measured_clients_are_swept_and_no_others() {
        let points = points("delay=10,20ms", &["alice", "more-2"]).unwrap();
        assert_eq!(points.links, ["campus-2", "campus-a"]);
        for (point, delay) in points.all.iter().zip([10, 20]) {
            for at in &point.plan.wan.attachments {
                let swept = points.links.contains(&at.name.to_string());
                let delay = Duration::from_millis(delay);
                let changed = [at.access.up, at.access.down].map(|way| way.delay == delay);
                assert_eq!(changed, [swept, swept], "{}", at.name);
            }
        }
        assert_eq!(points.labs().len(), 1);
    }

    #[test]
    fn one_link_is_swept_where_it_is_named_and_a_slip_of_the_pen_is_met() {
        assert_eq!(points("bob.loss=0,5%", &["alice"]).unwrap().links, ["campus-b"]);
        let error = points("bop.loss=0,5%", &["alice"]).unwrap_err().to_string();
        assert!(error.contains("at character 1") && error.contains("did you mean 'bob'?"), "{error}");
        assert!(points("loss=0,5%", &[]).unwrap_err().to_string().contains("alice.loss"));
    }

    #[test]
    fn host_caches_and_links_take_one_lab_and_anything_else_one_for_each_value() {
        let labs = |text| -> Vec<usize> {
            let points = points(text, &["alice"]).unwrap();
            points.labs().iter().map(|(_, some)| some.len()).collect()
        };
        assert_eq!(labs("stale=0,45,60%"), [3]);
        assert_eq!(labs("sites.campus-a.access.loss=0,5%"), [2]);
        assert_eq!(labs("wan.rtt.jitter=0,5,10%"), [1, 1, 1]);
        let points = points("wan.rtt.jitter=0,5%", &["alice"]).unwrap();
        let made: Vec<f64> = points.labs().iter().map(|(plan, _)| plan.wan.jitter).collect();
        assert_eq!(made, [0.0, 0.05]);
    }

    #[test]
    fn where_the_wan_has_a_schedule_each_value_has_a_lab_of_its_own() {
        let (_, text) = shipped().find(|(name, _)| *name == "failing-links").unwrap();
        let base = Plan::new(&parse(text, "t", &Catalogue::shipped(), &Overrides::default()).unwrap());
        let link = base.wan.attachments[0].name.clone();
        let points = Points::new(&"loss=0,5%".parse().unwrap(), base, &[link], None).unwrap();
        let labs = points.labs();
        assert_eq!(labs.len(), 2);
        // What a lab is made from is what links are again when its schedule begins.
        for ((made, some), share) in labs.iter().zip([0.0, 0.05]) {
            assert_eq!(*made, &some[0].plan);
            assert_eq!(made.wan.attachments[0].access.up.loss, Loss::Independent(share));
        }
    }

    #[test]
    fn all_labs_of_a_sweep_have_one_engine_that_can_do_every_value() {
        let netem = Abilities { rates: true, netem: true };
        let engine =
            |points: &Points, choice: EngineChoice| points.engine(|plan| choice.engine_with(plan, netem));
        let mut all = points("delay=10,20ms", &["alice"]).unwrap();
        // What the topology itself has that the kernel does not do exactly is no matter here.
        let exact = |plan: &mut Plan| {
            plan.wan.jitter = 0.0;
            for at in &mut plan.wan.attachments {
                (at.access.up, at.access.down) = (link::LinkSpec::UNLIMITED, link::LinkSpec::UNLIMITED);
            }
        };
        exact(&mut all.base);
        all.all.iter_mut().for_each(|point| exact(&mut point.plan));
        assert_eq!(engine(&all, EngineChoice::Auto).unwrap(), EngineKind::Kernel);
        let last = &mut all.all[1].plan.wan.attachments[0].access;
        last.set(Ways::Both, link::Setting::Loss(Loss::Independent(0.05)));
        assert_eq!(engine(&all, EngineChoice::Auto).unwrap(), EngineKind::User, "it cannot be repeated");
        let kernel = EngineChoice::This(EngineKind::Kernel);
        assert_eq!(engine(&all, kernel).unwrap(), EngineKind::Kernel);
        let refused = points("reorder=0,5%", &["alice"]).unwrap();
        let error = engine(&refused, kernel).unwrap_err().to_string();
        for said in ["value '5%'", "'reorder'", "--wan-engine user"] {
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_value_that_the_topology_cannot_have_is_told_before_anything_is_made() {
        let error = points("overlay.host_cache.stale=10,200%", &["alice"]).unwrap_err().to_string();
        assert!(error.contains("value 2 ('200%')") && error.contains("at most 100%"), "{error}");
        let error = points("overlay.host_cahe.stale=10,20%", &["alice"]).unwrap_err().to_string();
        assert!(error.contains("host_cahe"), "{error}");
        let running = Points::new(&"stale=0,5%".parse().unwrap(), plan(&[]).unwrap(), &[], None);
        assert!(running.unwrap_err().to_string().contains("give the topology"));
    }
}
