//! Before a wave of searches: the users that are searched for, and the clients that search.

use overlay_control::{LoginEvent, LoginRequest};

use super::record::Case;
use super::{SearchError, SearchExperiment};
use crate::experiment::login::{Ground, of};
use crate::experiment::record::Kind;
use crate::plan::NodePlan;

impl<G: Ground> SearchExperiment<'_, G> {
    /// The user who searches in a trial.
    pub(super) fn searcher(&self, number: u32) -> String {
        self.login.user_name('q', number)
    }

    /// The user who is searched for. `other` is the next client of the wave, if these search for each other.
    pub(super) fn target(&self, case: Case, number: u32, other: Option<(u32, &NodePlan)>) -> String {
        match case {
            Case::Cold | Case::Warm => {
                other.map_or_else(|| self.existing.clone(), |(number, _)| self.searcher(number))
            }
            Case::Offline => self.login.user_name('o', number),
            Case::Expired => self.login.user_name('e', number),
            Case::Unknown => self.login.user_name('u', number),
        }
    }

    /// Makes the users whom a trial's searches need, then logs the client in.
    pub(super) async fn prepare(&self, number: u32, client: &NodePlan) -> Result<(), SearchError> {
        for case in [Case::Expired, Case::Offline] {
            if self.options.cases.contains(&case) {
                let user = self.target(case, number, None);
                self.log_in(number, client, &user).await?;
                self.log_out(client).await?;
                if case == Case::Expired {
                    self.until_offline().await;
                    self.expire(user).await?;
                }
            }
        }
        self.log_in(number, client, &self.searcher(number)).await
    }

    /// What says that a user is offline needs a moment to reach the homes: at most all repetitions.
    async fn until_offline(&self) {
        let parameters = &self.login.overlay().parameters;
        let repeated = parameters.directory_retransmit_interval.duration() * parameters.directory_tries.0;
        tokio::time::sleep(repeated).await;
    }

    /// After a search by UDP the client's super node fetches the record for its cache: at most all repetitions.
    /// A search in that time would be neither cold nor warm.
    pub(super) async fn let_results_arrive(&self) {
        let parameters = &self.login.overlay().parameters;
        let repeated = parameters.search_retransmit_interval.duration() * parameters.search_tries.0;
        tokio::time::sleep(repeated).await;
    }

    /// A login with the bootstrap super nodes, of a user who has an account: where UDP is blocked it takes less
    /// time than one with a full host cache.
    async fn log_in(&self, number: u32, client: &NodePlan, user: &str) -> Result<(), SearchError> {
        let which: [&[u8]; 2] = [user.as_bytes(), &number.to_le_bytes()];
        let request = self.login.request(Kind::FirstTime, user.to_owned(), &which, Vec::new())?;
        let request = LoginRequest { first_time: false, ..request };
        self.login.enter(&request).await?;
        let failed = |why| SearchError::NotPrepared { client: client.name.clone(), why };
        let control = self.login.control(&client.name);
        let login = async {
            let mut events = control.login(&request).await.map_err(of(&client.name))?;
            loop {
                match events.next().await.map_err(of(&client.name))?.line.event {
                    LoginEvent::Finished { .. } => return Ok(()),
                    LoginEvent::Failed { reason, detail } => {
                        return Err(failed(format!("{reason} ({detail})")));
                    }
                    _ => {}
                }
            }
        };
        let limit = self.login.patience();
        let late = |_| failed(format!("its login as {user} did not end within {} s", limit.as_secs()));
        tokio::time::timeout(limit, login).await.map_err(late)?
    }

    /// Logs a client out.
    pub(super) async fn log_out(&self, client: &NodePlan) -> Result<(), SearchError> {
        let control = self.login.control(&client.name);
        control.logout().await.map_err(of(&client.name)).map_err(SearchError::from)
    }
}
