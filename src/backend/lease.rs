//! The lease under which somebody holds a connection. A dirty connection never goes back to its pool:
//! `Lease::drop` closes it and ends what it runs.

use std::sync::Arc;

use crate::backend::conn::{Class, Conn};
use crate::backend::server::Server;
use crate::error::SqlError;

/// One connection, held by one session.
pub struct Lease {
    conn: Option<Box<Conn>>,
    permit: Permit,
}

/// A worker's permit to hold one connection of a pool; given back when dropped.
pub struct Permit {
    server: Arc<Server>,
    worker: usize,
}

impl Permit {
    /// Waits, within the pool's bounds, for permission to hold `count` connections of a server.
    pub async fn acquire(server: &Arc<Server>, worker: usize, count: usize) -> Result<Vec<Permit>, SqlError> {
        server.pool.wait(worker, count, &server.name).await?;
        Ok((0..count).map(|_| Permit { server: server.clone(), worker }).collect())
    }

    /// Waits for permission to hold one connection.
    pub async fn acquire_one(server: &Arc<Server>, worker: usize) -> Result<Permit, SqlError> {
        server.pool.wait(worker, 1, &server.name).await?;
        Ok(Permit { server: server.clone(), worker })
    }

    /// Permission to hold one connection, if nobody has to wait for it.
    fn at_once(server: &Arc<Server>, worker: usize) -> Option<Permit> {
        server.pool.try_take(worker, 1).then(|| Permit { server: server.clone(), worker })
    }

    /// An idle connection of the worker. `settings` is the hash of those the lease will need.
    fn idle(&self, class: Class, settings: u64) -> Option<Box<Conn>> {
        while let Some(mut conn) = self.server.pool.pick(self.worker, class, settings) {
            if conn.link.is_quiet() {
                return Some(conn);
            }
            // The server closed it, or said something nobody asked for, while it idled.
            self.server.pool.closed();
        }
        None
    }

    /// Takes an idle connection or opens one. `settings` is the hash of those the lease will need.
    pub async fn lease(self, class: Class, settings: u64) -> Result<Lease, SqlError> {
        if let Some(conn) = self.idle(class, settings) {
            return Ok(self.hold(conn));
        }
        if let Some(mut conn) = self.server.pool.make_room(class) {
            if conn.link.is_quiet() {
                return Ok(self.hold(conn));
            }
            self.server.pool.closed();
        }
        self.open(class).await
    }

    /// Opens a new connection even if others idle: for a retry after an idle one proved dead.
    pub async fn open(self, class: Class) -> Result<Lease, SqlError> {
        let opening = self.server.pool.opening();
        let conn = Box::new(self.server.connect(class).await?);
        opening.done();
        Ok(self.hold(conn))
    }

    fn hold(self, conn: Box<Conn>) -> Lease {
        Lease { conn: Some(conn), permit: self }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.server.pool.release(self.worker);
    }
}

impl Lease {
    /// An idle connection, if one lies ready and nobody has to wait for it: the way of nearly every statement.
    pub fn at_once(server: &Arc<Server>, worker: usize, class: Class, settings: u64) -> Option<Lease> {
        let permit = Permit::at_once(server, worker)?;
        let conn = permit.idle(class, settings)?;
        Some(permit.hold(conn))
    }

    /// The server this connection goes to.
    pub fn server(&self) -> &Arc<Server> {
        &self.permit.server
    }

    /// The connection and its server, to use the one while the other is looked at.
    pub fn split(&mut self) -> (&mut Conn, &Arc<Server>) {
        match &mut self.conn {
            Some(conn) => (conn, &self.permit.server),
            None => unreachable!("a lease holds its connection until it is dropped"),
        }
    }
}

impl std::ops::Deref for Lease {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        match &self.conn {
            Some(conn) => conn,
            None => unreachable!("a lease holds its connection until it is dropped"),
        }
    }
}

impl std::ops::DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Conn {
        match &mut self.conn {
            Some(conn) => conn,
            None => unreachable!("a lease holds its connection until it is dropped"),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let server = &self.permit.server;
        if let Some(conn) = self.conn.take() {
            if conn.is_clean() && server.accepts_back() {
                server.pool.put_back(self.permit.worker, conn);
            } else {
                server.pool.closed();
                if conn.is_busy() {
                    server.kill(conn.thread_id);
                }
            }
        }
    }
}
