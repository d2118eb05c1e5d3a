//! Namespaces, links, addresses, routes, settings, rulesets and the WAN's impairments: typed, thin
//! wrappers over netlink and the few programs that apply rulesets.
