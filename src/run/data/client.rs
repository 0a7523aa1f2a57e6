//! What the observer asks of redis.

use std::time::Duration;

use redis::{Connection, ConnectionAddr, IntoConnectionInfo, RedisError, RedisResult};

use crate::run::model::RedisAddress;

/// For one exchange. Who does not answer by then is away.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that is made when it is needed, and again after it broke.
pub(super) struct Client {
    address: RedisAddress,
    connection: Option<Connection>,
    /// How often a connection was made: what redis has may be another thing after each.
    pub(super) connects: u64,
}

/// Why redis does not do what it is asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It does not answer.
    Away(String),
    /// It answers, and takes nothing more.
    Full(String),
}

/// What is known of the queue of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) queued: u64,
    pub(super) processed: u64,
    pub(super) failed: u64,
}

impl Client {
    pub(super) fn new(address: RedisAddress) -> Client {
        Client { address, connection: None, connects: 0 }
    }

    pub(super) fn address(&self) -> &RedisAddress {
        &self.address
    }

    /// How long a list is.
    pub(super) fn length(&mut self, queue: &str) -> Result<usize, Trouble> {
        self.ask(|connection| redis::cmd("LLEN").arg(queue).query(connection))
    }

    /// Everything in a list.
    pub(super) fn content(&mut self, queue: &str) -> Result<Vec<Vec<u8>>, Trouble> {
        self.ask(|connection| redis::cmd("LRANGE").arg(queue).arg(0).arg(-1).query(connection))
    }

    /// Puts these at the end of a list, and says how long it is then.
    pub(super) fn push(&mut self, queue: &str, payloads: &[Vec<u8>]) -> Result<usize, Trouble> {
        self.ask(|connection| redis::cmd("LPUSH").arg(queue).arg(payloads).query(connection))
    }

    /// By queue and label.
    pub(super) fn counters(&mut self, of: &[(&str, &str)]) -> Result<Vec<Counters>, Trouble> {
        if of.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        for (queue, label) in of {
            pipeline.cmd("LLEN").arg(*queue);
            pipeline.cmd("GET").arg(format!("counter.{label}"));
            pipeline.cmd("GET").arg(format!("failures.{label}"));
        }
        let found: Vec<Option<u64>> = self.ask(|connection| pipeline.query(connection))?;
        let number = |value: &Option<u64>| value.unwrap_or_default();
        let counters = |values: &[Option<u64>]| Counters {
            queued: number(&values[0]),
            processed: number(&values[1]),
            failed: number(&values[2]),
        };
        Ok(found.chunks_exact(3).map(counters).collect())
    }

    /// Whether it takes anything.
    pub(super) fn try_write(&mut self) -> Result<(), Trouble> {
        self.ask(|connection| {
            redis::cmd("SET").arg("mwp.observer").arg(1).arg("EX").arg(60).query(connection)
        })
    }

    /// Has our own redis write down each change from now on: one that was killed knows what it knew.
    pub(super) fn keep_changes(&mut self) -> Result<(), Trouble> {
        self.ask(|connection| redis::cmd("CONFIG").arg("SET").arg("appendonly").arg("yes").query(connection))
    }

    fn ask<T>(&mut self, question: impl Fn(&mut Connection) -> RedisResult<T>) -> Result<T, Trouble> {
        let was_connected = self.connection.is_some();
        let mut answer = self.ask_once(&question);
        // The other end may have begun anew since; to be told twice does no harm.
        if was_connected && answer.as_ref().is_err_and(RedisError::is_io_error) {
            answer = self.ask_once(&question);
        }
        answer.map_err(|error| self.trouble(&error))
    }

    fn ask_once<T>(&mut self, question: impl Fn(&mut Connection) -> RedisResult<T>) -> RedisResult<T> {
        let answer = question(self.connected()?);
        if answer.as_ref().is_err_and(RedisError::is_io_error) {
            // What is still to come on this connection is no answer to a later question.
            self.connection = None;
        }
        answer
    }

    fn connected(&mut self) -> RedisResult<&mut Connection> {
        if self.connection.is_none() {
            let address = ConnectionAddr::from(self.address.clone());
            let client = redis::Client::open(address.into_connection_info()?)?;
            let connection = client.get_connection_with_timeout(PATIENCE)?;
            connection.set_read_timeout(Some(PATIENCE))?;
            connection.set_write_timeout(Some(PATIENCE))?;
            self.connection = Some(connection);
            self.connects += 1;
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            None => unreachable!("it was made above"),
        }
    }

    fn trouble(&self, error: &RedisError) -> Trouble {
        let address = &self.address;
        match error.code() {
            Some("OOM") => Trouble::Full(format!("redis at {address} is full (`[redis] max_memory`)")),
            Some("MISCONF") => Trouble::Full(format!("redis at {address} cannot write to its disk")),
            Some("LOADING") => Trouble::Away(format!("redis at {address} still reads what it has on disk")),
            _ => Trouble::Away(format!("redis at {address} is away ({error})")),
        }
    }
}
