use std::path::Path;
use std::sync::LazyLock;

use overlay_control::restart::RestartPolicy;

use super::*;
use crate::link::{Distribution, GilbertElliott, Loss, Queue};
use crate::names::NodeName;
use crate::profile::Catalogue;

/// The shipped profiles, read once.
fn catalogue() -> &'static Catalogue {
    static SHIPPED: LazyLock<Catalogue> = LazyLock::new(Catalogue::shipped);
    &SHIPPED
}

fn try_parse(text: &str, overrides: &Overrides) -> Result<Topology, TopologyErrors> {
    parse(text, "t.yaml", catalogue(), overrides)
}

fn valid(text: &str) -> Topology {
    try_parse(text, &Overrides::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn set(settings: &[&str]) -> Overrides {
    let set = settings.iter().map(|setting| setting.parse().unwrap()).collect();
    Overrides { set, ..Overrides::default() }
}

const SMALL: &str = "
name: small
nodes:
  login: { role: login-server }
  sn: { role: super-node, count: 2, addresses: 3 }
  bob: { role: client }
sites:
  home: { count: 2, gateway: { nat: port-restricted }, nodes: { alice: { role: client, buddies: [bob] } } }
";

fn node_names(topology: &Topology) -> Vec<&str> {
    topology.nodes.iter().map(|node| node.name.as_str()).collect()
}

/// Each file of `testdata` has the mistakes that its name says; the snapshot is what the user reads.
#[test]
fn every_broken_file_gets_messages_with_place_and_mend() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/topology/testdata");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 20, "the broken files are missing");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap();
        let errors = parse(&text, &format!("{name}.yaml"), catalogue(), &Overrides::default())
            .expect_err(&format!("{name} was taken for valid"));
        insta::assert_snapshot!(format!("broken_{name}"), errors);
    }
}

#[test]
fn every_shipped_topology_is_valid_and_named_as_its_file() {
    let names: Vec<_> = shipped().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "bring-your-own",
            "classroom",
            "expA",
            "expB",
            "expC",
            "failing-links",
            "natTypes",
            "punching",
            "quickstart",
            "search-500",
            "thousand-homes",
            "two-programs",
            "world-2006"
        ]
    );
    for (name, text) in shipped() {
        let topology = parse(text, name, catalogue(), &Overrides::default());
        assert_eq!(
            topology.unwrap_or_else(|errors| panic!("{errors}")).name.as_str(),
            name.replace('-', "_")
        );
    }
}

#[test]
fn the_experiments_fill_a_host_cache_with_the_share_of_stale_entries_that_they_ask_for() {
    for (name, text) in shipped().filter(|(name, _)| name.starts_with("exp")) {
        let topology = valid(text);
        let super_nodes = topology.nodes.iter().filter(|node| node.role() == Some(Role::SuperNode));
        let super_nodes: usize = super_nodes.map(|node| usize::from(node.addresses)).sum();
        assert_eq!(super_nodes, 112, "{name}");
        assert_eq!(topology.overlay.unwrap().host_cache.filled(super_nodes), (110, 90), "{name}");
        assert_eq!(topology.experiment.measure.len(), 10, "{name}");
        assert_eq!(topology.experiment.online, ["bob".parse().unwrap()], "{name}");
    }
}

#[test]
fn fewer_super_nodes_mean_fewer_stale_entries_too() {
    let cache = HostCache { entries: 200, stale: 0.45 };
    assert_eq!(cache.filled(11), (11, 9));
    assert_eq!(cache.filled(0), (0, 0));
    assert_eq!(HostCache { entries: 7, stale: 0.0 }.filled(100), (7, 0));
}

#[test]
fn a_schedule_names_links_by_their_attachments_and_keeps_its_order() {
    use crate::link::{Change, Setting, Ways};
    let text = format!(
        "{SMALL}schedule:\n  - {{ at: 500ms, link: alice-1, way: up, set: {{ loss: 5%/4, rate: none }} }}\n  \
         - {{ at: 1m30s, partition: [alice-2, [bob, sn-1]] }}\n  - {{ at: 1m30s, heal: true }}\n"
    );
    let steps = valid(&text).schedule;
    let at: Vec<_> = steps.iter().map(|step| step.at.as_millis()).collect();
    assert_eq!(at, [500, 90_000, 90_000]);
    let loss = Setting::Loss(Loss::Bursts(GilbertElliott::with_mean(0.05, 4.0).unwrap()));
    let settings = vec![Setting::Rate(None), loss];
    assert_eq!(steps[0].change, Change::SetLink { link: "home-1".to_owned(), ways: Ways::Up, settings });
    let sides = vec![vec!["home-2".to_owned()], vec!["bob".to_owned(), "sn-1".to_owned()]];
    assert_eq!(steps[1].change, Change::Partition { sides });
    assert_eq!(steps[2].change, Change::Heal);
    let plan = crate::plan::Plan::new(&valid(&text));
    assert_eq!(plan.schedule, steps);
}

#[test]
fn counts_expand_nodes_and_sites() {
    let topology = valid(SMALL);
    assert_eq!(node_names(&topology), ["login", "sn-1", "sn-2", "bob", "alice-1", "alice-2"]);
    let sites: Vec<_> = topology.sites.iter().map(|site| site.name.as_str()).collect();
    assert_eq!(sites, ["home-1", "home-2"]);
    let Place::Site { site } = &topology.nodes[5].place else { panic!() };
    assert_eq!(site.as_str(), "home-2");
    assert_eq!(topology.nodes[5].group.as_str(), "alice");
    let both = valid(&SMALL.replace("{ alice: { role: client,", "{ alice: { role: client, count: 2,"));
    assert_eq!(node_names(&both)[4..], ["alice-1-1", "alice-1-2", "alice-2-1", "alice-2-2"]);
}

#[test]
fn a_topology_of_programs_alone_has_no_overlay() {
    let topology =
        valid("name: x\nnodes: { a: { command: stun -v, count: 2 }, b: { image: 'debian:12' } }\n");
    assert_eq!(node_names(&topology), ["a-1", "a-2", "b"]);
    assert_eq!(topology.overlay, None);
    assert!(topology.nodes.iter().all(|node| node.role().is_none()));
    let NodeKind::Program(program) = &topology.nodes[2].kind else { panic!() };
    assert_eq!((program.image.as_deref(), program.command.len()), (Some("debian:12"), 0));
}

#[test]
fn what_the_file_leaves_out_has_its_default() {
    let topology = valid(SMALL);
    assert_eq!(topology.title, "small");
    assert_eq!(topology.seed, DEFAULT_SEED);
    assert_eq!(topology.wan.regions, ["internet"]);
    let site = &topology.sites[0];
    assert_eq!(site.subnet.unwrap().to_string(), "192.168.1.0/24");
    assert_eq!((site.firewall.name.as_str(), site.outside_addresses), ("open", 1));
    assert_eq!(site.access, AccessLink::UNLIMITED);
    assert_eq!(topology.overlay.unwrap().profile, "skype-2006");
    let measured: Vec<_> = topology.experiment.measure.iter().map(NodeName::as_str).collect();
    assert_eq!(measured, ["bob", "alice-1", "alice-2"]);
}

#[test]
fn the_command_line_changes_name_seed_and_any_value() {
    let mut overrides =
        set(&["overlay.host_cache.stale=10%", "sites.home.count=1", "wan.regions=[a]", "wan.rtt={a/a: 1ms}"]);
    overrides.name = Some("other".parse().unwrap());
    overrides.seed = Some(u64::MAX);
    let topology = try_parse(SMALL, &overrides).unwrap();
    assert_eq!((topology.name.as_str(), topology.seed, topology.sites.len()), ("other", u64::MAX, 1));
    assert!((topology.overlay.unwrap().host_cache.stale - 0.1).abs() < 1e-12);
    assert_eq!(topology.wan.regions, ["a"]);
}

#[test]
fn a_mistake_on_the_command_line_is_told_as_such() {
    let errors = try_parse(SMALL, &set(&["overlay.host_cache.stale=10"])).unwrap_err().to_string();
    assert!(
        errors.starts_with("--set overlay.host_cache.stale=10: overlay: host_cache: 'stale'"),
        "{errors}"
    );
    assert!(try_parse(SMALL, &set(&["name.first=x"])).is_err());
    assert!(try_parse(SMALL, &set(&["nodes.bob.colour=red"])).is_err());
    assert!("nothing".parse::<Setting>().is_err());
    assert!("a..b=1".parse::<Setting>().is_err());
}

#[test]
fn sites_behind_sites_and_sites_without_translation_are_possible() {
    let topology = valid(&format!(
        "{SMALL}  carrier: {{ gateway: {{ nat: symmetric }}, subnet: 100.64.0.0/10, outside_addresses: 4 }}
  flat: {{ uplink: carrier, gateway: {{ nat: full-cone }}, nodes: {{ carol: {{ role: client }} }} }}
  office: {{ gateway: {{ nat: none, firewall: block-inbound }}, nodes: {{ dave: {{ role: client }} }} }}
"
    ));
    let site = |name: &str| topology.sites.iter().find(|site| site.name.as_str() == name).unwrap();
    assert_eq!(site("flat").uplink, Uplink::Site { site: "carrier".parse().unwrap() });
    assert_eq!(site("carrier").outside_addresses, 4);
    assert_eq!(site("office").subnet, None);
    assert_eq!(topology.members()[&"carrier".parse::<NodeName>().unwrap()].hosts(), 2);
}

#[test]
fn a_path_that_is_not_there_is_told_with_what_is() {
    let load = |path: &str| load(Path::new(path), catalogue(), &Overrides::default());
    assert_eq!(load("expC").unwrap().name.as_str(), "expC");
    assert_eq!(load("topologies/expC.yaml").unwrap().name.as_str(), "expC");
    let error = load("no/such/expC.yaml").unwrap_err().to_string();
    assert!(
        error.contains("no/such/expC.yaml")
            && error.contains(&shipped().map(|(name, _)| name).collect::<Vec<_>>().join(", ")),
        "{error}"
    );
    assert!(load("..").is_err());
}

#[test]
fn a_parameter_file_beside_the_topology_wins() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.yaml");
    std::fs::write(&file, SMALL).unwrap();
    let parameters = include_str!("../../../node-image/parameters/skype-2006.yaml");
    assert!(load(&file, catalogue(), &Overrides::default()).is_ok());
    std::fs::write(folder.path().join("skype-2006.yaml"), "name: skype-2006\n").unwrap();
    let error = load(&file, catalogue(), &Overrides::default()).unwrap_err().to_string();
    assert!(error.contains("skype-2006.yaml is no parameter file"), "{error}");
    std::fs::write(folder.path().join("mine.yaml"), parameters).unwrap();
    for name in ["mine", "./mine.yaml"] {
        let topology = load(&file, catalogue(), &set(&[&format!("overlay.profile={name}")]));
        assert_eq!(topology.unwrap().overlay.unwrap().profile, name);
    }
}

#[test]
fn a_file_that_is_too_large_is_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.yaml");
    std::fs::write(&file, "# ".repeat(document::MAX_BYTES)).unwrap();
    let error = load(&file, catalogue(), &Overrides::default()).unwrap_err();
    assert!(matches!(error, TopologyErrors::TooLarge { .. }), "{error}");
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// Words that mean something somewhere in a topology, so that chance gets beyond the first key.
    fn scalar() -> impl Strategy<Value = String> {
        let word = prop::sample::select(vec![
            "name",
            "x",
            "nodes",
            "sites",
            "client",
            "super-node",
            "login-server",
            "full-cone",
            "none",
            "30ms",
            "10mbit",
            "45%",
            "home",
            "alice",
            "a",
            "10.0.0.0/24",
            "192.168.1.0/30",
            "1",
            "0",
            "-1",
            "1e9",
            "~",
            "true",
            "99999999999999999999",
            "''",
            "a/a",
            "\"\\u0000\"",
        ]);
        prop_oneof![4 => word.prop_map(str::to_owned), 1 => "[a-z0-9 .:/%*&!\\-]{0,8}"]
    }

    fn value() -> impl Strategy<Value = String> {
        let key = prop::sample::select(vec![
            "name",
            "nodes",
            "sites",
            "wan",
            "regions",
            "rtt",
            "overlay",
            "role",
            "count",
            "gateway",
            "nat",
            "firewall",
            "uplink",
            "subnet",
            "home",
            "alice",
            "buddies",
            "experiment",
            "measure",
            "access",
            "delay",
            "a/a",
            "<<",
            "host_cache",
            "entries",
            "stale",
            "addresses",
            "region",
        ]);
        scalar().prop_recursive(5, 60, 6, move |inner| {
            prop_oneof![
                prop::collection::vec((key.clone(), inner.clone()), 0..6).prop_map(|entries| {
                    let entries: Vec<_> =
                        entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                    format!("{{ {} }}", entries.join(", "))
                }),
                prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn no_text_makes_it_panic(text in ".{0,400}") {
            let _ = try_parse(&text, &Overrides::default()).map_err(|errors| errors.to_string());
        }

        #[test]
        fn no_yaml_makes_it_panic(text in value()) {
            let _ = try_parse(&text, &Overrides::default()).map_err(|errors| errors.to_string());
        }

        #[test]
        fn no_value_in_a_valid_topology_makes_it_panic(
            path in prop::sample::select(vec![
                "nodes.sn.count", "nodes.sn", "sites.home", "sites.home.gateway.nat", "sites.home.subnet", "wan",
                "wan.rtt", "overlay.host_cache", "experiment.measure", "sites.home.nodes.alice", "nodes.bob.access",
            ]),
            value in value(),
        ) {
            let setting = format!("{path}={value}").parse().unwrap();
            let overrides = Overrides { set: vec![setting], ..Overrides::default() };
            let _ = try_parse(SMALL, &overrides).map_err(|errors| errors.to_string());
        }
    }
}

#[test]
fn what_is_around_a_program_is_read() {
    let topology = valid(
        "name: x
nodes:
  server:
    command: srv
    root: /srv/debian
    mounts: ['/srv/a:/a', '/srv/b:/b:ro']
    restart: on-failure
    health: { command: 'check {address}', interval: 500ms, retries: 5, start_period: 10s }
  plain: { command: [srv], restart: no }
",
    );
    let program = |index: usize| match &topology.nodes[index].kind {
        NodeKind::Program(program) => program.clone(),
        NodeKind::Overlay { .. } => panic!(),
    };
    let server = program(0);
    assert_eq!(server.root.as_deref(), Some(Path::new("/srv/debian")));
    let mount = |name: &str, read_only| Mount {
        source: format!("/srv/{name}").into(),
        target: format!("/{name}").into(),
        read_only,
    };
    assert_eq!(server.mounts, [mount("a", false), mount("b", true)]);
    assert_eq!(server.restart, RestartPolicy::OnFailure);
    let health = server.health.unwrap();
    let seconds =
        (health.interval.as_secs_f64(), health.timeout.as_secs_f64(), health.start_period.as_secs_f64());
    assert_eq!((seconds, health.retries, health.command.len()), ((0.5, 5.0, 10.0), 5, 2));
    let plain = program(1);
    assert_eq!((plain.restart, plain.health, plain.mounts.len()), (RestartPolicy::No, None, 0));
}

/// The access link of a node on the WAN.
fn access(text: &str) -> AccessLink {
    let topology = valid(&format!("name: x\nnodes: {{ a: {{ command: x, access: {text} }} }}\n"));
    match &topology.nodes[0].place {
        Place::Wan { access, .. } => **access,
        Place::Site { .. } => panic!(),
    }
}

#[test]
fn an_access_link_has_every_property_for_both_ways_or_each() {
    let link = access(
        "{ down: 3mbit, up: 384kbit, delay: { up: 12ms, down: 8ms }, jitter: 2ms, distribution: normal,
           correlation: 25%, loss: { up: 1%, down: { share: 2%, burst: 4 } }, duplicate: 0.5%, reorder: 1%,
           reorder_by: 3ms, queue: { up: 64kb, down: 200ms } }",
    );
    assert_eq!((link.down.rate, link.up.rate), (Some(3_000_000), Some(384_000)));
    assert_eq!((link.up.delay, link.down.delay), (Duration::from_millis(12), Duration::from_millis(8)));
    assert_eq!(link.up.loss, Loss::Independent(0.01));
    assert_eq!(link.down.loss, Loss::Bursts(GilbertElliott::with_mean(0.02, 4.0).unwrap()));
    assert_eq!(link.down.queue, Queue::Time(Duration::from_millis(200)));
    assert_eq!(link.up.queue, Queue::Bytes(64_000));
    for spec in [link.up, link.down] {
        assert_eq!((spec.jitter, spec.distribution), (Duration::from_millis(2), Distribution::Normal));
        assert_eq!((spec.correlation, spec.duplicate, spec.reorder), (0.25, 0.005, 0.01));
        assert_eq!(spec.reorder_by, Duration::from_millis(3));
    }
    let wire = access("{ loss: { to_bad: 1%, to_good: 30%, in_bad: 80% } }").up.loss;
    assert_eq!(wire, Loss::Bursts(GilbertElliott { to_bad: 0.01, to_good: 0.3, in_good: 0.0, in_bad: 0.8 }));
}

#[test]
fn every_shipped_access_link_is_right_and_can_be_changed() {
    let names = ["modem-56k", "dsl-2006", "cable-2006", "t1", "lan", "wifi", "4g", "satellite"];
    for name in names {
        let link = access(name);
        assert!(link.up.rate.is_some() && link.down.rate >= link.up.rate, "{name}: {link:?}");
        assert!(!link.up.delay.is_zero() && !link.down.delay.is_zero(), "{name}: {link:?}");
    }
    let changed = access("{ preset: dsl-2006, up: 1mbit }");
    assert_eq!(changed.up, crate::link::LinkSpec { rate: Some(1_000_000), ..access("dsl-2006").up });
    assert_eq!(changed.down, access("dsl-2006").down);
    let file = include_str!("../link/presets.yaml");
    assert_eq!(
        file.lines().filter(|line| line.ends_with(':')).count(),
        names.len(),
        "none is forgotten here"
    );
}

#[test]
fn regions_and_nodes_can_have_places() {
    let topology = valid(
        "name: x
wan:
  regions:
    new-york: { latitude: 40.71, longitude: -74.01 }
    london: { latitude: 51.51, longitude: -0.13 }
  rtt: { new-york/london: 90ms }
nodes:
  here: { command: x, region: london }
  there: { command: x, latitude: 48.86, longitude: 2.35 }
",
    );
    let wan = &topology.wan;
    assert_eq!(wan.rtt[0][1], Duration::from_millis(90), "what is written counts");
    assert_eq!(wan.rtt[1][1], Duration::from_millis(4), "what is not follows from the distance");
    let plan = crate::plan::Plan::new(&topology).wan;
    let delay = plan.path_delay(&plan.attachments[0], &plan.attachments[1]).unwrap();
    assert!((4..6).contains(&delay.as_millis()), "London to Paris, 344 km: {delay:?}");
    assert_eq!(plan.regions[plan.attachments[1].region], "london", "the nearest one");
}
