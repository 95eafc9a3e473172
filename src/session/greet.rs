//! The first minute of a connection, from its first byte to a session, and COM_CHANGE_USER, which is a new
//! first minute. It knows no statement.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::{Code, SqlError};
use crate::session::door::Guest;
use crate::session::proxy::Proxy;
use crate::session::registry::Seat;
use crate::session::{Flow, Session};
use crate::wire::capabilities::{Capabilities, Status};
use crate::wire::link::Link;
use crate::wire::login_server::{self, Hello, LoginError, OFFERED};
use crate::wire::reply::put_error;
use crate::wire::stream::Stream;

/// Serves a connection from its first byte to its last.
pub async fn receive(proxy: Arc<Proxy>, worker: usize, stream: Stream, peer: String, host: String) {
    let mut link = Link::new(stream, proxy.config.limits.packet);
    let seat = match proxy.sessions.enter(peer) {
        Ok(seat) => seat,
        Err(error) => {
            // Told instead of a greeting, as MySQL does; nobody waits for a client that does not read it.
            link.push_with(|out| put_error(out, &error));
            let _ = tokio::time::timeout(proxy.config.timeouts.write, link.close()).await;
            return;
        }
    };
    // The login is rare and its state large: it must not make each idle session larger.
    let admitted = Box::pin(admit(&proxy, worker, link, seat, host));
    match tokio::time::timeout(proxy.config.timeouts.handshake, admitted).await {
        Ok(Some(session)) => session.serve().await,
        Ok(None) => {}
        Err(_) => tracing::debug!("a client did not log in in time"),
    }
}

async fn admit(proxy: &Arc<Proxy>, worker: usize, link: Link, seat: Seat, host: String) -> Option<Box<Session>> {
    let counters = proxy.metrics.worker(worker);
    let hello = Hello {
        version: proxy.door.version().to_owned(),
        thread_id: seat.entry.id,
        capabilities: OFFERED,
        collation: 255,
        status: Status::AUTOCOMMIT,
        peer: host.clone(),
    };
    let account = |name: &str| proxy.door.account(name);
    let login = login_server::server_login(link, &proxy.door.gate, &hello, proxy.config.limits.packet, account).await;
    let (mut link, login) = match login {
        Ok(login) => login,
        Err(LoginError::Denied(error)) => {
            counters.logins_failed.fetch_add(1, Ordering::Relaxed);
            proxy.metrics.error(error.errno);
            return None;
        }
        Err(LoginError::Wire(error)) => {
            tracing::debug!(%error, peer = seat.entry.peer, "no login");
            return None;
        }
    };
    let refused = match proxy.door.guest(&login.user) {
        None => Err(SqlError::new(Code::AccessDenied, "Access denied")),
        Some(guest) => enter(proxy, guest, &seat, &login.schema, &host).map(|()| Arc::clone(guest)),
    };
    match refused {
        Ok(guest) => {
            counters.accepted.fetch_add(1, Ordering::Relaxed);
            login_server::welcome(&mut link, &login, Status::AUTOCOMMIT).await.ok()?;
            Some(Box::new(Session::new(proxy.clone(), worker, seat, link, login, guest, host)))
        }
        Err(error) => {
            proxy.metrics.error(error.errno);
            link.push_with(|out| put_error(out, &error));
            link.close().await;
            None
        }
    }
}

/// Whether a user who has proved to be one may come in now, to this schema.
fn enter(proxy: &Proxy, guest: &Guest, seat: &Seat, schema: &str, host: &str) -> Result<(), SqlError> {
    seat.name(&guest.name, guest.max_connections)?;
    if schema.is_empty() {
        return Ok(());
    }
    allowed(proxy, guest, schema, host)
}

/// Whether a user may make this schema the default one.
pub(super) fn allowed(proxy: &Proxy, guest: &Guest, schema: &str, host: &str) -> Result<(), SqlError> {
    if !guest.may_use(schema) {
        let message = format!("Access denied for user '{}'@'{host}' to database '{schema}'", guest.name);
        return Err(SqlError::new(Code::SchemaDenied, message));
    }
    let known = proxy.topology.load().rules.schema(schema).is_some();
    if known || is_system(schema) {
        return Ok(());
    }
    Err(SqlError::new(Code::UnknownSchema, format!("Unknown database '{schema}'")))
}

/// Schemas that every server has for itself.
pub(super) fn is_system(schema: &str) -> bool {
    ["information_schema", "performance_schema", "mysql", "sys"].iter().any(|name| name.eq_ignore_ascii_case(schema))
}

impl Session {
    /// COM_CHANGE_USER: a new login on the same connection; what the session held is given up.
    pub(super) async fn change_user(&mut self, request: &[u8]) -> Flow {
        let proxy = self.proxy.clone();
        let account = |name: &str| proxy.door.account(name);
        let gate = &proxy.door.gate;
        let login =
            match login_server::change_user(&mut self.client, gate, &self.host, &self.login, request, account).await {
                Ok(login) => login,
                Err(error) => {
                    tracing::debug!(%error, "COM_CHANGE_USER failed");
                    return Flow::End;
                }
            };
        let entered = match proxy.door.guest(&login.user) {
            None => Err(SqlError::new(Code::AccessDenied, "Access denied")),
            Some(guest) => enter(&proxy, guest, &self.seat, &login.schema, &self.host).map(|()| Arc::clone(guest)),
        };
        match entered {
            Ok(guest) => {
                self.guest = guest;
                self.needs.schema = (!login.schema.is_empty()).then(|| login.schema.as_str().into());
                self.capabilities = login.capabilities;
                self.login = login;
                self.reset();
                let status = self.status();
                match login_server::welcome(&mut self.client, &self.login, status).await {
                    Ok(()) => Flow::Next,
                    Err(_) => Flow::End,
                }
            }
            Err(error) => {
                self.error(&error);
                Flow::End
            }
        }
    }

    /// What the client can read of the proxy's answers.
    pub(super) fn reads(&self) -> Capabilities {
        self.capabilities
    }
}
