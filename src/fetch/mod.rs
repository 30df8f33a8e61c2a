//! `fetch`: brings the raw files and models that a manifest names, whole and pinned.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use corpus::remote::{Network, Settings};

use crate::cli::FetchArgs;
use crate::failure::{Code, Failure, Result};
use crate::manifest::{self, Manifest};
use crate::size::Size;
use crate::{pipeline, report};

pub mod listing;
mod lock;
pub mod models;
mod progress;
mod show_plan;
mod transfer;
mod wanted;

pub use wanted::{Wanted, filled};

/// Files that go to one folder.
struct Order {
    /// A slice, or `models`.
    name: String,
    folder: PathBuf,
    wanted: Vec<Wanted>,
}

/// Runs `fetch`.
pub fn fetch(args: &FetchArgs) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    crate::build::watch_interrupts(&stop)?;
    let settings = Settings {
        connections: usize::from(args.connections),
        attempts: args.attempts,
        rate: args.rate.map(|rate| rate.0),
        patience: Duration::from_secs(args.patience.into()),
        pays: args.pay,
    };
    let network = network(settings, &stop)?;
    let orders = orders(args, &network).map_err(|failure| interrupted(failure, &stop))?;
    if args.plan {
        return show_plan::show(&orders, &network, args).map_err(|failure| interrupted(failure, &stop));
    }
    for order in &orders {
        check_price(order, args)?;
    }
    let mut fetched = transfer::Fetched::default();
    for order in &orders {
        let how = transfer::How { network: &network, stop: &stop, update: args.update, check: args.check };
        let brought = transfer::bring_all(&how, order)?;
        report::say(&brought.words(&order.name, &order.folder));
        fetched.add(&brought);
    }
    if args.json {
        let line = serde_json::json!({
            "files": fetched.files, "brought": fetched.brought, "bytes": fetched.bytes,
        });
        report::print(&format!("{line}\n"));
    }
    Ok(())
}

/// A network that ends when the process is to end.
pub fn network(settings: Settings, stop: &Arc<AtomicBool>) -> Result<Arc<Network>> {
    let network = Network::new(settings)?;
    let (watched, stop) = (Arc::downgrade(&network), stop.clone());
    let watch = move || {
        while let Some(network) = watched.upgrade() {
            if stop.load(Ordering::Relaxed) {
                return network.stop();
            }
            drop(network);
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let named = std::thread::Builder::new().name("network".to_owned()).spawn(watch);
    named.map_err(Failure::io("cannot start", "a thread"))?;
    Ok(network)
}

/// After Ctrl-C whatever failed failed because of it.
fn interrupted(failure: Failure, stop: &AtomicBool) -> Failure {
    if !stop.load(Ordering::Relaxed) {
        return failure;
    }
    Failure::new(Code::Interrupted, "interrupted").hint("run the same command again: it goes on where it stopped")
}

/// What is to be brought, and to where.
fn orders(args: &FetchArgs, network: &Arc<Network>) -> Result<Vec<Order>> {
    let mut orders = Vec::new();
    if let Some(slice) = &args.slice {
        let manifest = the_manifest(args, slice)?;
        let folder = args.output.clone().unwrap_or_else(|| manifest::raw_folder(slice));
        let wanted = wanted::of_manifest(network, &manifest)?;
        if wanted.is_empty() {
            let failure = Failure::configuration(format!("the manifest of slice {slice} names nothing to download"));
            return Err(failure.hint(format!("`redpajama sources {slice}` tells where its raw files come from")));
        }
        orders.push(Order { name: slice.clone(), folder, wanted });
    }
    if !args.model.is_empty() {
        let folder = args.output.clone().unwrap_or_else(manifest::models_folder);
        let wanted = args.model.iter().map(|name| models::wanted(name)).collect::<Result<Vec<_>>>()?;
        orders.push(Order { name: "models".to_owned(), folder, wanted: wanted.concat() });
    }
    if orders.is_empty() {
        let slices: Vec<&str> = sources::told().iter().map(|told| told.name).collect();
        return Err(Failure::usage("neither a slice nor a model").hint(format!(
            "give --slice with one of {}, or --model with one of {}",
            slices.join(", "),
            models::names()?.join(", ")
        )));
    }
    for order in &mut orders {
        order.choose(args)?;
    }
    Ok(orders)
}

fn the_manifest(args: &FetchArgs, slice: &str) -> Result<Manifest> {
    let known: Vec<&str> = sources::told().iter().map(|told| told.name).collect();
    let Some(path) = &args.manifest else {
        if manifest::text(slice).is_none() || !known.contains(&slice) {
            return Err(Failure::usage(format!("unknown slice `{slice}`")).hint(
                match pipeline::closest(slice, &known) {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => format!("known are: {}", known.join(", ")),
                },
            ));
        }
        return manifest::read(slice);
    };
    let text = std::fs::read_to_string(path).map_err(Failure::io("cannot read", path))?;
    let read = manifest::read_text(&path.to_string_lossy(), &text)?;
    if read.slice != slice {
        return Err(Failure::usage(format!("{} is the manifest of slice {}", path.display(), read.slice)));
    }
    Ok(read)
}

impl Order {
    /// Leaves what `--only` and `--limit` say; two files may not have one name.
    fn choose(&mut self, args: &FetchArgs) -> Result<()> {
        let all = self.wanted.len();
        for pattern in &args.only {
            let pattern = glob::Pattern::new(pattern)
                .map_err(|error| Failure::usage(format!("--only `{pattern}` is no pattern: {error}")))?;
            self.wanted.retain(|wanted| wanted.matches(&pattern));
        }
        if self.wanted.is_empty() {
            let failure = Failure::usage(format!(
                "--only leaves none of the {} of {}",
                report::count(all as u64, "file"),
                self.name
            ));
            return Err(failure.hint("`redpajama fetch --plan` without it names them"));
        }
        self.wanted.truncate(args.limit.unwrap_or(usize::MAX));
        let mut names: BTreeMap<&str, &Wanted> = BTreeMap::new();
        for wanted in &self.wanted {
            if let Some(other) = names.insert(&wanted.name, wanted) {
                let message = format!("{} and {} would both be called {}", other.address, wanted.address, wanted.name);
                return Err(Failure::configuration(message).hint("give them a `file` in the manifest"));
            }
        }
        Ok(())
    }

    /// The prices of files that are not here yet.
    fn charged(&self) -> impl Iterator<Item = (&Wanted, &manifest::Price)> {
        let missing = |wanted: &&Wanted| !self.folder.join(&wanted.name).exists();
        self.wanted.iter().filter(missing).filter_map(|wanted| Some((wanted, wanted.price.as_ref()?)))
    }

    /// What is known of the cost: an amount in each currency, and how many files' lengths are unknown.
    fn cost(&self) -> (BTreeMap<String, f64>, usize) {
        let mut costs: BTreeMap<String, f64> = BTreeMap::new();
        let mut unknown = 0;
        for (wanted, price) in self.charged() {
            let bytes = wanted.bytes.unwrap_or(0) as f64;
            unknown += usize::from(wanted.bytes.is_none());
            *costs.entry(price.currency.clone()).or_default() +=
                bytes / 1e9 * price.gigabyte + price.thousand_requests / 1000.0;
        }
        (costs, unknown)
    }
}

/// Amounts of money, as people write them.
fn money(costs: &BTreeMap<String, f64>) -> String {
    let all: Vec<String> = costs.iter().map(|(currency, amount)| format!("{amount:.2} {currency}")).collect();
    all.join(" and ")
}

/// Nobody pays unasked.
fn check_price(order: &Order, args: &FetchArgs) -> Result<()> {
    let Some((first, price)) = order.charged().next() else { return Ok(()) };
    if args.pay {
        return Ok(());
    }
    let (costs, unknown) = order.cost();
    let about = if unknown > 0 { "at least" } else { "about" };
    let message = format!(
        "{} is charged to whoever reads it: {} files for {about} {}",
        first.address.folder(),
        report::number(order.charged().count() as u64),
        money(&costs),
    );
    Err(Failure::usage(message).hint(format!(
        "--pay agrees to it ({} {} a gigabyte, by {}); --only and --limit make it less",
        price.gigabyte, price.currency, price.source
    )))
}

/// Whether there is room for what is still to come.
fn check_room(order: &Order) -> Result<()> {
    let there = |wanted: &&Wanted| order.folder.join(&wanted.name).exists();
    let bytes: u64 = order.wanted.iter().filter(|wanted| !there(wanted)).filter_map(|wanted| wanted.bytes).sum();
    let folder = order.folder.ancestors().find(|folder| folder.exists());
    let Some(free) = folder.and_then(|folder| rustix::fs::statvfs(folder).ok()) else { return Ok(()) };
    let free = free.f_bavail.saturating_mul(free.f_frsize);
    if bytes <= free {
        return Ok(());
    }
    let message = format!("{} needs {}, and {} has {}", order.name, Size(bytes), order.folder.display(), Size(free));
    Err(Failure::new(Code::Failed, message).hint("--output names another disk; --only and --limit bring less"))
}
