//! `fetch --plan`: what would be brought, how much it is, and what it costs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use corpus::remote::Network;

use super::{Order, money};
use crate::cli::FetchArgs;
use crate::failure::Result;
use crate::report;
use crate::size::Size;

/// Files whose length is asked for, at most: of more the rest is estimated.
const ASKED: usize = 64;
/// Names that are shown of each order.
const SHOWN: usize = 5;

/// Shows what a fetch would do.
pub fn show(orders: &[Order], network: &Arc<Network>, args: &FetchArgs) -> Result<()> {
    let mut all = Vec::new();
    for order in orders {
        let there = order.wanted.iter().filter(|wanted| order.folder.join(&wanted.name).exists()).count();
        let known: u64 = order.wanted.iter().filter_map(|wanted| wanted.bytes).sum();
        let unknown: Vec<_> = order.wanted.iter().filter(|wanted| wanted.bytes.is_none()).collect();
        let asked: Vec<_> = spread(&unknown, ASKED).collect();
        let told = ask(network, &asked)?;
        let mean = told.iter().sum::<u64>() as f64 / told.len().max(1) as f64;
        let guessed = (mean * unknown.len() as f64) as u64;
        let exact = told.len() == unknown.len();
        let bytes = known + guessed;
        report::print(&format!(
            "{} → {}: {}, {}{}, {} there\n",
            order.name,
            order.folder.display(),
            report::count(order.wanted.len() as u64, "file"),
            if exact { "" } else { "about " },
            Size(bytes),
            report::number(there as u64)
        ));
        if !exact {
            report::print(&format!(
                "  the lengths of {} are not told beforehand; the sum rests on {} of them\n",
                report::count(unknown.len() as u64, "file"),
                report::number(told.len() as u64)
            ));
        }
        let (costs, unpriced) = order.cost();
        if let Some((_, price)) = order.charged().next() {
            report::print(&format!(
                "  costs {}{} ({} {} a gigabyte, by {}); --pay agrees to it\n",
                if unpriced > 0 { "at least " } else { "about " },
                money(&costs),
                price.gigabyte,
                price.currency,
                price.source
            ));
        }
        let licenses: BTreeSet<&str> = order.wanted.iter().map(|wanted| wanted.license.as_str()).collect();
        report::print(&format!("  licence: {}\n", licenses.into_iter().collect::<Vec<_>>().join("; ")));
        for wanted in order.wanted.iter().take(SHOWN) {
            let bytes = wanted.bytes.map_or("length unknown".to_owned(), |bytes| Size(bytes).to_string());
            let checks: Vec<String> = wanted.checks.iter().map(|check| check.kind.to_string()).collect();
            let pinned = if checks.is_empty() { "pinned when fetched".to_owned() } else { checks.join(", ") };
            report::print(&format!("  {}  {bytes}, {pinned}  {}\n", wanted.name, wanted.address));
        }
        if order.wanted.len() > SHOWN {
            report::print(&format!("  and {} more\n", report::number((order.wanted.len() - SHOWN) as u64)));
        }
        all.push(serde_json::json!({
            "name": order.name,
            "folder": order.folder,
            "files": order.wanted.len(),
            "there": there,
            "bytes": bytes,
            "bytes_are_exact": exact,
            "cost": costs,
        }));
    }
    if args.json {
        report::print(&format!("{}\n", serde_json::Value::Array(all)));
    }
    Ok(())
}

/// So many of all, evenly spread.
fn spread<T>(all: &[T], count: usize) -> impl Iterator<Item = &T> {
    let count = count.min(all.len());
    (0..count).map(move |at| &all[at * all.len() / count])
}

/// The lengths that publishers tell of files.
fn ask(network: &Arc<Network>, files: &[&&super::Wanted]) -> Result<Vec<u64>> {
    let next = AtomicUsize::new(0);
    let told = Mutex::new(Vec::new());
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..network.connections().min(files.len()) {
            scope.spawn(|| {
                while let Some(wanted) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match network.find(&wanted.address) {
                        Ok(found) => told.lock().unwrap_or_else(PoisonError::into_inner).extend(found.bytes),
                        Err(error) => {
                            failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                            return;
                        }
                    }
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error.into()),
        None => Ok(told.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}
