//! Kernel settings of a gateway's namespace.

use std::collections::BTreeMap;

use super::fast_path;
use crate::profile::behaviour::{NatBehaviour, Timeout};

/// Settings below `/proc/sys`, by path.
pub(super) fn sysctls(nat: Option<&NatBehaviour>) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let mut set = |path: &str, value: String| settings.insert(path.to_owned(), value);
    set("net/ipv4/ip_forward", "1".to_owned());
    // Hairpinned packets leave where they came in. Telling their sender to go straight would take the
    // gateway out of the path.
    set("net/ipv4/conf/all/send_redirects", "0".to_owned());
    set("net/ipv4/conf/default/send_redirects", "0".to_owned());
    let Some(nat) = nat else { return settings };
    let mut timeout = |name: &str, idle: Timeout| {
        set(&format!("net/netfilter/nf_conntrack_{name}"), idle.seconds().to_string());
    };
    // Connection tracking is the fast path of the mappings: it forgets with them, never after.
    timeout("udp_timeout", fast_path::kept_of_udp(nat));
    timeout("udp_timeout_stream", fast_path::kept_of_udp(nat));
    // The kernel shortens the idle time of a connection with unacknowledged or repeated data.
    // RFC 5382 knows no such case.
    for state in ["established", "unacknowledged", "max_retrans"] {
        timeout(&format!("tcp_timeout_{state}"), fast_path::kept(nat));
    }
    for state in ["syn_sent", "syn_recv", "fin_wait", "close_wait", "last_ack", "time_wait", "close"] {
        timeout(&format!("tcp_timeout_{state}"), nat.tcp.transitory);
    }
    // A connection begins with a SYN: what comes out of the blue belongs to none.
    set("net/netfilter/nf_conntrack_tcp_loose", "0".to_owned());
    settings
}
