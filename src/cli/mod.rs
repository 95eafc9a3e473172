//! The command line: what can be asked of Shardloom from a shell. Each subcommand is a file; they know
//! terminals and exit codes, and leave the work to the rooms below.

mod ask;
mod check;
mod demo;
mod live;
mod password;
mod serve;
mod txn;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueHint};

/// A SQL sharding proxy that speaks the MySQL wire protocol.
#[derive(Debug, Parser)]
#[command(name = "shardloom", version, about, long_about = None, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy
    Serve(serve::Serve),
    /// Start servers with a sample shop and a proxy in front of them
    Demo(demo::Demo),
    /// Check the rules, and the servers against them; make missing tables
    Check(check::Check),
    /// Show how a statement would be answered: its plan, its targets, each rewritten statement
    Explain(ask::Explain),
    /// Show where the rows with a key are
    Route(ask::Route),
    /// Show or finish transactions over several groups that a proxy has left
    Txn(txn::Txn),
    /// Turn a password into the verifiers that shardloom.toml takes
    HashPassword(password::HashPassword),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Where the rules are.
#[derive(Debug, clap::Args)]
struct RulesFolder {
    /// Folder of rule files (*.toml)
    #[arg(long, short, default_value = "rules", value_name = "DIR", value_hint = ValueHint::DirPath)]
    rules: PathBuf,
}

impl Cli {
    /// Does what was asked; the exit code is 0 if it went well, 1 if not, 2 for a wrong command line.
    pub fn run(self) -> ExitCode {
        let outcome = match self.command {
            Command::Serve(serve) => serve.run(),
            Command::Demo(demo) => demo.run(),
            Command::Check(check) => check.run(),
            Command::Explain(explain) => explain.run(),
            Command::Route(route) => route.run(),
            Command::Txn(txn) => txn.run(),
            Command::HashPassword(hash) => hash.run(),
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Cli::command(), "shardloom", &mut std::io::stdout());
                Ok(())
            }
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("{}", message.trim_end());
                ExitCode::FAILURE
            }
        }
    }
}

/// Whether messages may be coloured.
fn color() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
