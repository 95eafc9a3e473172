//! `shardloom hash-password`: a password in, verifiers out. The password never stands on the command line.

use std::io::{BufRead, IsTerminal};

use clap::Args;

use crate::wire::auth;

/// Arguments of `hash-password`.
#[derive(Debug, Args)]
pub(super) struct HashPassword {
    /// Take the password from this environment variable instead of standard input
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// Also print the verifier for mysql_native_password, which old clients need
    #[arg(long)]
    native: bool,
}

impl HashPassword {
    pub(super) fn run(self) -> Result<(), String> {
        let password = match &self.env {
            Some(name) => std::env::var(name).map_err(|_| format!("the environment has no variable {name}"))?,
            None => {
                let stdin = std::io::stdin();
                if stdin.is_terminal() {
                    eprintln!("Password (shown as you type; pipe it in to hide it):");
                }
                let mut line = String::new();
                stdin.lock().read_line(&mut line).map_err(|error| error.to_string())?;
                line.trim_end_matches(['\r', '\n']).to_owned()
            }
        };
        let (caching_sha2, native) = auth::hash_password(password.as_bytes()).map_err(|error| error.to_string())?;
        println!("{caching_sha2}");
        if self.native {
            println!("{native}");
        }
        Ok(())
    }
}
