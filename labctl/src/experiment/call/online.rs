//! Logging in the clients that are to talk.

use std::time::Duration;

use futures_util::future::try_join_all;
use overlay_control::{LoginEvent, LoginRequest, NatVerdict, Role, UserRecord};
use tokio::time::timeout;

use super::CallError;
use crate::experiment::control::{Control, ControlError};
use crate::experiment::host_cache;
use crate::experiment::login::Ground;
use crate::experiment::patience::longest_login;
use crate::experiment::random::{Purpose, derive_seed};
use crate::names::NodeName;
use crate::plan::Plan;

/// How many log in at once: what they do at the same time is generate keys, on one machine's processors.
const AT_ONCE: usize = 16;

/// Logs clients in, each as the user of its own name; who was logged in before is logged out first. Yields the NAT
/// types that they found, in the same order, or why a client could not log in.
pub(super) async fn log_in(
    ground: &impl Ground,
    clients: &[NodeName],
    seed: u64,
    patience: Option<Duration>,
) -> Result<Vec<Result<NatVerdict, String>>, CallError> {
    let mut verdicts = Vec::new();
    for some in clients.chunks(AT_ONCE) {
        let logins = some.iter().map(|client| async move {
            match log_in_one(ground, client, seed, patience).await {
                Ok(verdict) => Ok(Ok(verdict)),
                Err(CallError::NotOnline { why, .. }) => Ok(Err(why)),
                Err(error) => Err(error),
            }
        });
        verdicts.extend(try_join_all(logins).await?);
    }
    Ok(verdicts)
}

fn of(node: &NodeName) -> impl FnOnce(ControlError) -> CallError {
    let node = node.clone();
    move |error| CallError::Control { node, error }
}

fn request(plan: &Plan, client: &NodeName, seed: u64) -> Result<LoginRequest, CallError> {
    let overlay = plan.overlay.as_ref().ok_or_else(|| CallError::NoClient {
        lab: plan.lab.to_string(),
        name: client.clone(),
        clients: "none".to_owned(),
    })?;
    let containers = host_cache::super_nodes_by_container(plan);
    let seed = |purpose| derive_seed(seed, purpose, &[b"call", client.as_str().as_bytes()]);
    Ok(LoginRequest {
        user: client.to_string(),
        password: format!("{:014x}", seed(Purpose::Password)),
        seed: seed(Purpose::Login),
        first_time: false,
        host_cache: host_cache::subsequent(overlay, &containers, seed(Purpose::HostCache))?,
        buddies: Vec::new(),
    })
}

async fn log_in_one(
    ground: &impl Ground,
    client: &NodeName,
    seed: u64,
    patience: Option<Duration>,
) -> Result<NatVerdict, CallError> {
    let plan = ground.plan();
    let request = request(plan, client, seed)?;
    let user = UserRecord { user: request.user.clone(), password: request.password.clone() };
    for server in plan.nodes.iter().filter(|node| node.role() == Some(Role::LoginServer)) {
        let control = Control::new(&ground.control_socket(&server.name));
        control.enter_user(&user).await.map_err(of(&server.name))?;
    }
    let control = Control::new(&ground.control_socket(client));
    control.logout().await.map_err(of(client))?;
    let failed = |why| CallError::NotOnline { client: client.clone(), why };
    let login = async {
        let mut events = control.login(&request).await.map_err(of(client))?;
        loop {
            match events.next().await.map_err(of(client))?.line.event {
                LoginEvent::Finished { summary } => return Ok(summary.nat),
                LoginEvent::Failed { detail, .. } => return Err(failed(detail)),
                _ => {}
            }
        }
    };
    let longest = plan.overlay.as_ref().map_or(Duration::ZERO, |overlay| longest_login(&overlay.parameters));
    let limit = patience.unwrap_or(longest);
    let Ok(ended) = timeout(limit, login).await else {
        control.logout().await.map_err(of(client))?;
        return Err(failed(format!("it did not end within {} s", limit.as_secs())));
    };
    ended
}
