use std::net::Ipv4Addr;

use super::*;
use crate::topology::Subnet;
use crate::topology::document::Tree;
use crate::topology::problem::{Problems, Source};

fn gateway(outside: &[[u8; 4]]) -> GatewayContext {
    GatewayContext {
        wan_interface: "wan".to_owned(),
        lan_interface: "lan".to_owned(),
        outside: outside.iter().copied().map(Ipv4Addr::from).collect(),
        inside: Subnet { network: Ipv4Addr::new(192, 168, 1, 0), prefix: 24 },
    }
}

/// A behaviour as it stands in a topology.
fn inline(text: &str) -> Result<NatProfile, String> {
    let source = Source { name: "t.yaml".to_owned(), text: text.to_owned() };
    let tree = Tree::parse(text, 0).map_err(|problem| vec![problem]);
    tree.and_then(|tree| inline_nat(&tree))
        .map_err(|problems| Problems::new(vec![source], problems).to_string())
}

#[test]
fn the_shipped_catalogue_has_what_topologies_name() {
    let catalogue = Catalogue::shipped();
    for name in ["none", "full-cone", "restricted-cone", "port-restricted", "symmetric"] {
        assert!(catalogue.nat(name).is_some(), "{name}");
    }
    for name in ["open", "udp-restricted", "block-inbound"] {
        assert!(catalogue.firewall(name).is_some(), "{name}");
    }
    assert!(catalogue.nat("none").unwrap().behaviour.is_none());
}

#[test]
fn every_shipped_profile_says_what_it_is_and_where_it_is_met() {
    let catalogue = Catalogue::shipped();
    for name in catalogue.nat_names() {
        let profile = catalogue.nat(name).unwrap();
        assert!(!profile.description.is_empty() && !profile.references.is_empty(), "{name}");
    }
    for name in catalogue.firewall_names() {
        assert!(!catalogue.firewall(name).unwrap().description.is_empty(), "{name}");
    }
}

#[test]
fn rules_of_a_port_restricted_nat() {
    let catalogue = Catalogue::shipped();
    let rules = gateway_rules(
        catalogue.nat("port-restricted").unwrap(),
        catalogue.firewall("udp-restricted").unwrap(),
        &gateway(&[[198, 18, 0, 2]]),
    );
    insta::assert_snapshot!("port-restricted.nft", rules.nft);
    insta::assert_snapshot!("udp-restricted.iptables", rules.iptables);
    insta::assert_yaml_snapshot!("port-restricted.sysctls", rules.sysctls);
}

#[test]
fn rules_of_a_nat_that_uses_every_word() {
    let nat = inline(include_str!("testdata/every-word.yaml")).unwrap();
    let open = Catalogue::shipped().firewall("open").unwrap().clone();
    let rules = gateway_rules(&nat, &open, &gateway(&[[198, 18, 0, 2], [198, 18, 0, 3]]));
    insta::assert_snapshot!("every-word.nft", rules.nft);
    assert_eq!(rules.iptables, "");
    insta::assert_yaml_snapshot!("every-word.sysctls", rules.sysctls);
}

#[test]
fn rules_without_nat() {
    let catalogue = Catalogue::shipped();
    let rules = gateway_rules(
        catalogue.nat("none").unwrap(),
        catalogue.firewall("open").unwrap(),
        &gateway(&[[198, 18, 0, 2]]),
    );
    insta::assert_snapshot!("none.nft", rules.nft);
}

#[test]
fn rules_of_every_shipped_firewall() {
    let catalogue = Catalogue::shipped();
    for name in catalogue.firewall_names() {
        let rules = catalogue.firewall(name).unwrap().rules(&gateway(&[[198, 18, 0, 2]]));
        insta::assert_snapshot!(format!("firewall-{name}"), rules);
    }
}

#[test]
fn the_behaviour_of_a_nat_in_words() {
    let catalogue = Catalogue::shipped();
    insta::assert_yaml_snapshot!("symmetric.words", catalogue.nat("symmetric").unwrap().traits());
    let nat = inline(include_str!("testdata/every-word.yaml")).unwrap();
    insta::assert_yaml_snapshot!("every-word.words", nat.traits());
}

#[test]
fn the_short_words_of_rfc_4787_are_understood_and_the_defaults_are_its_recommendations() {
    let nat = inline("udp: { mapping: EIM, filtering: ADF }").unwrap().behaviour.unwrap();
    assert_eq!(nat.udp.mapping, Mapping::EndpointIndependent);
    assert_eq!(nat.udp.filtering, Filtering::AddressDependent);
    assert_eq!((nat.tcp.mapping, nat.tcp.filtering), (nat.udp.mapping, nat.udp.filtering));
    assert_eq!(nat.udp.timeout.seconds(), 300);
    assert_eq!((nat.tcp.established.seconds(), nat.tcp.transitory.seconds()), (7440, 240));
    assert_eq!(nat.allocation, PortAllocation::Preserving);
    assert_eq!((nat.ports.first(), nat.ports.last()), (1024, 65535));
}

#[test]
fn mistakes_in_a_nat_are_named_with_place_and_mend() {
    let cases = include_str!("testdata/wrong-nats.yaml");
    let mut shown = String::new();
    for case in cases.split("---\n").filter(|case| !case.is_empty()) {
        shown += &inline(case).expect_err(case);
        shown.push_str("\n\n");
    }
    insta::assert_snapshot!("wrong-nats", shown);
}

#[test]
fn mistakes_in_a_firewall_are_named_with_place_and_mend() {
    let cases = include_str!("testdata/wrong-firewalls.yaml");
    let mut shown = String::new();
    for case in cases.split("---\n").filter(|case| !case.is_empty()) {
        let source = Source { name: "t.yaml".to_owned(), text: case.to_owned() };
        let problems = inline_firewall(&Tree::parse(case, 0).unwrap()).expect_err(case);
        shown += &Problems::new(vec![source], problems).to_string();
        shown.push_str("\n\n");
    }
    insta::assert_snapshot!("wrong-firewalls", shown);
}

#[test]
fn an_open_nat_behind_a_strict_firewall_is_no_contradiction() {
    let catalogue = Catalogue::shipped();
    let rules = gateway_rules(
        catalogue.nat("full-cone").unwrap(),
        catalogue.firewall("block-inbound").unwrap(),
        &gateway(&[[198, 18, 0, 2]]),
    );
    assert!(rules.nft.contains("udp_outside") && rules.iptables.contains(":FORWARD DROP"));
}

#[test]
fn a_users_own_profile_wins_over_a_shipped_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("nat")).unwrap();
    std::fs::write(
        folder.path().join("nat/symmetric.yaml"),
        "title: mine\nbehaviour:\n  udp: { mapping: ADM, filtering: ADF }\n",
    )
    .unwrap();
    let catalogue = Catalogue::with_directory(folder.path()).unwrap();
    assert_eq!(catalogue.nat("symmetric").unwrap().title, "mine");
    assert!(catalogue.nat("full-cone").is_some());
    assert!(catalogue.firewall("open").is_some());
}

#[test]
fn a_wrong_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("nat")).unwrap();
    std::fs::create_dir(folder.path().join("firewall")).unwrap();
    std::fs::write(folder.path().join("nat/a.yaml"), "title: a\nbehaviour: { udp: none }\n").unwrap();
    std::fs::write(folder.path().join("firewall/b.yaml"), "title: b\nrules: []\n").unwrap();
    let shown = Catalogue::with_directory(folder.path()).unwrap_err().to_string();
    let shown = shown.replace(&folder.path().display().to_string(), "FOLDER");
    insta::assert_snapshot!("wrong-files", shown);
}

#[test]
fn a_folder_without_profiles_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Catalogue::with_directory(folder.path()), Err(CatalogueError::Empty { .. })));
    let absent = folder.path().join("absent");
    assert!(matches!(Catalogue::with_directory(&absent), Err(CatalogueError::Read { .. })));
}

#[test]
fn an_inside_host_is_found_by_number_and_by_address() {
    let inside = gateway(&[]).inside;
    let host = |number| InsideHost::Number(number).address(inside);
    assert_eq!(host(2), Some(Ipv4Addr::new(192, 168, 1, 2)));
    assert_eq!(host(254), Some(Ipv4Addr::new(192, 168, 1, 254)));
    assert_eq!(host(255), None);
    assert_eq!(InsideHost::Address(Ipv4Addr::new(192, 168, 2, 2)).address(inside), None);
    let address = Ipv4Addr::new(192, 168, 1, 7);
    assert_eq!(InsideHost::Address(address).address(inside), Some(address));
}
