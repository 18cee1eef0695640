//! Money, numbers, and what people ask.

use async_trait::async_trait;
use matrix_smpp_codec::e164::E164;
use matrix_smpp_config::Money;
use ruma::{OwnedUserId, UserId};

use super::TableStore;
use crate::gateway::limits::Limit;
use crate::gateway::model::{Account, Handset, TakenId, Timestamp};
use crate::gateway::opt_out::Wish;
use crate::store::audit;
use crate::store::steps::{explain, leases, limits, money, opt_outs, submissions};
use crate::store::{
    Audit, Counter, History, Lease, LeaseStore, LeasesPage, LimitStore, MoneyStore, OptOutStore,
    OptedOut, QuestionStore, Result, Sizes, SubmissionHistory,
};

#[async_trait]
impl MoneyStore for TableStore {
    async fn top_up(
        &self,
        owner: &UserId,
        amount: Money,
        key: &str,
        now: Timestamp,
    ) -> Result<Account> {
        let (owner, key) = (owner.to_owned(), key.to_owned());
        self.engine
            .run(move |tx| money::top_up(tx, &owner, amount, &key, now))
            .await
    }

    async fn set_limit(&self, owner: &UserId, limit: Money) -> Result<Account> {
        let owner = owner.to_owned();
        self.engine
            .run(move |tx| money::set_limit(tx, &owner, limit))
            .await
    }

    async fn account(&self, owner: &UserId) -> Result<Account> {
        let owner = owner.to_owned();
        self.engine.run(move |tx| money::account(tx, &owner)).await
    }

    async fn accounts(&self) -> Result<Vec<(OwnedUserId, Account)>> {
        self.engine.run_alone(money::accounts).await
    }

    async fn audit(&self) -> Result<Audit> {
        audit::audit(&self.engine).await
    }
}

#[async_trait]
impl LeaseStore for TableStore {
    async fn leases(&self) -> Result<Vec<Lease>> {
        self.engine.run_alone(leases::all).await
    }

    async fn leases_page(&self, from: Option<String>, limit: usize) -> Result<LeasesPage> {
        self.engine
            .run_alone(move |tx| leases::page(tx, from.as_deref(), limit))
            .await
    }

    async fn release_lease(&self, vmn: E164, handset: &Handset) -> Result<bool> {
        let handset = handset.clone();
        self.engine
            .run(move |tx| leases::release(tx, vmn, &handset))
            .await
    }

    async fn dedicate(&self, number: &str, owner: &UserId) -> Result<()> {
        let (number, owner) = (number.to_owned(), owner.to_owned());
        self.engine
            .run(move |tx| leases::dedicate(tx, &number, &owner))
            .await
    }

    async fn undedicate(&self, number: &str) -> Result<bool> {
        let number = number.to_owned();
        self.engine
            .run(move |tx| leases::undedicate(tx, &number))
            .await
    }

    async fn dedicated(&self) -> Result<Vec<(String, OwnedUserId)>> {
        if self.engine.is_surely_owner()
            && let Some(known) = self.remembered.dedicated()
        {
            return Ok(known);
        }
        let found = self
            .engine
            .run_alone(|tx| Ok((leases::dedicated(tx)?, tx.marks().of_dedicated())));
        let (numbers, stand) = found.await?;
        self.remembered.keep_dedicated(numbers.clone(), stand);
        Ok(numbers)
    }
}

#[async_trait]
impl LimitStore for TableStore {
    async fn limits_hit(&self, now: Timestamp) -> Result<Vec<Counter>> {
        self.engine.run_alone(move |tx| limits::hit(tx, now)).await
    }

    async fn clear_limit(&self, limit: Limit, whose: &str) -> Result<bool> {
        let whose = whose.to_owned();
        self.engine
            .run(move |tx| limits::clear(tx, limit, &whose))
            .await
    }
}

#[async_trait]
impl OptOutStore for TableStore {
    async fn heed(
        &self,
        handset: &Handset,
        number: &str,
        wish: Wish,
        now: Timestamp,
    ) -> Result<()> {
        let (handset, number) = (handset.clone(), number.to_owned());
        self.engine
            .run(move |tx| opt_outs::heed(tx, (&handset, &number), wish, now))
            .await
    }

    async fn opt_outs(&self) -> Result<Vec<OptedOut>> {
        self.engine.run_alone(opt_outs::all).await
    }
}

#[async_trait]
impl QuestionStore for TableStore {
    async fn probe(&self) -> Result<()> {
        self.engine.run(explain::probe).await
    }

    async fn explain(&self, id: &str) -> Result<Vec<History>> {
        let id = id.to_owned();
        self.engine.run(move |tx| explain::explain(tx, &id)).await
    }

    async fn explain_submission(
        &self,
        id: TakenId,
        name: &str,
    ) -> Result<Option<SubmissionHistory>> {
        let name = name.to_owned();
        self.engine
            .run(move |tx| submissions::explain(tx, id, &name))
            .await
    }

    async fn sizes(&self) -> Result<Sizes> {
        self.engine.run(explain::sizes).await
    }
}
