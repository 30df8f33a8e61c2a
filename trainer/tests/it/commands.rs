//! Whole commands: trained, killed, resumed, evaluated, exported.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use trainer::cpu::Float;
use trainer::weights::unit;

use crate::place::{Place, losses, read, text};

#[test]
fn killed_anywhere_it_ends_with_the_same_bits() {
    let place = Place::new();
    place.fine("pretrain slow.yaml --output whole --threads 1");
    let whole = place.checkpoint("whole", 20);
    let all = losses(&place, "whole");
    assert_eq!(all.len(), 20);
    assert!(all[19] < all[0] - 0.5, "{all:?}");
    // Killed twice, asked to leave twice, interrupted, and on other numbers of threads.
    for (step, signal, code) in [
        (2, "-KILL", None),
        (6, "-TERM", Some(0)),
        (10, "-KILL", None),
        (11, "-USR1", Some(0)),
        (14, "-INT", Some(130)),
    ] {
        let ended = place.until("pieces", "slow.yaml", step, signal, "");
        assert!(ended == code || ended == Some(0), "{signal}: {ended:?}");
    }
    place.fine("pretrain slow.yaml --output pieces --threads 3");
    assert!(place.checkpoint("pieces", 20) == whole);
    assert_eq!(losses(&place, "pieces"), all);
    // Nothing is left to do, and nothing is done.
    let (_, said) = place.fine("pretrain slow.yaml --output pieces");
    assert!(said.contains("all 20 steps were done before") && !said.contains("\nstep "), "{said}");
    let kept = std::fs::read_dir(place.path("whole/checkpoints")).unwrap().count();
    assert_eq!(kept, 3);
}

#[test]
fn in_sixteen_bits_it_ends_with_the_same_bits() {
    let place = Place::new();
    // A scale that begins too high, and changes all the way.
    let fp16 = ["precision=fp16", "scaling.start=1073741824", "scaling.interval=3", "scaling.hysteresis=2"];
    for set in [&fp16[..], &["precision=bf16"]] {
        let set: String = set.iter().map(|set| format!(" --set {set}")).collect();
        let run = |name: &str| format!("{}{set}", place.path(name).display());
        place.fine(&format!("pretrain slow.yaml --output {} --threads 1", run("whole")));
        for (step, signal, options) in [(3, "-TERM", ""), (8, "-KILL", " --threads 3"), (12, "-USR1", " --processes 2")]
        {
            place.until(&run("pieces"), "slow.yaml", step, signal, options);
        }
        place.fine(&format!("pretrain slow.yaml --output {}", run("pieces")));
        assert!(place.checkpoint("pieces", 20) == place.checkpoint("whole", 20), "{set}");
        let told = |run: &str| {
            let lines = text(&read(&place.path(run).join("metrics.jsonl")));
            let values = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
            values.filter(|value| value["loss"].is_f64()).map(|value| value["scale"].as_f64()).collect::<Vec<_>>()
        };
        let scales = told("whole");
        assert_eq!(told("pieces"), scales);
        let mut different: Vec<u64> = scales.iter().flatten().map(|scale| scale.to_bits()).collect();
        different.sort_unstable();
        different.dedup();
        assert!(if set.contains("fp16") { different.len() > 2 } else { different.is_empty() }, "{scales:?}");
        for run in ["whole", "pieces"] {
            std::fs::remove_dir_all(place.path(run)).unwrap();
        }
    }
    place.fails("pretrain run.yaml --set precision=fp8", 64, "fp8");
    place.fails("pretrain run.yaml --set scaling.backoff=1.5", 64, "does not shrink a scale");
}

#[test]
fn any_number_of_processes_ends_with_the_same_bits() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output one");
    let one = place.checkpoint("one", 20);
    for (run, processes) in [("two", 2), ("four", 4)] {
        place.fine(&format!("pretrain run.yaml --output {run} --processes {processes} --threads 1"));
        assert!(place.checkpoint(run, 20) == one, "{processes} processes");
        assert_eq!(losses(&place, run), losses(&place, "one"));
    }
    // Two, then four, then one, killed or told to leave at moments that a seed decides: the next goes on.
    for seed in 0..3 {
        let run = format!("changing-{seed}");
        let mut step = 0.0;
        for (number, processes) in [2, 4, 1].into_iter().enumerate() {
            step += 1.0 + 5.0 * unit(seed, 2 * number as u64);
            let signal = if unit(seed, 2 * number as u64 + 1) < 0.6 { "-KILL" } else { "-TERM" };
            place.until(&run, "run.yaml", step as u64, signal, &format!(" --threads 1 --processes {processes}"));
        }
        place.fine(&format!("pretrain run.yaml --output {run}"));
        assert!(place.checkpoint(&run, 20) == one, "seed {seed}");
        assert_eq!(losses(&place, &run), losses(&place, "one"));
    }
    place.fails("pretrain run.yaml --processes 3", 64, "3 processes, and a step has work for 4");
    place.fails("pretrain run.yaml --processes 8", 64, "8 processes, and a step has work for 4");
}

#[test]
fn a_process_that_is_killed_ends_the_run_and_loses_nothing() {
    let place = Place::new();
    place.fine("pretrain slow.yaml --output one");
    // Started one by one, as a launcher does, of which the second is killed.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut both: Vec<std::process::Child> = (0..2)
        .map(|rank: u32| {
            let mut command = place.command("pretrain slow.yaml --output two --threads 1");
            command.env("RANK", rank.to_string()).env("WORLD_SIZE", "2");
            command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
            command.stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut lines = BufReader::new(both[0].stderr.take().unwrap()).lines();
    lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("step 5/")));
    both[1].kill().unwrap();
    let said: Vec<String> = lines.map(|line| line.unwrap()).collect();
    both[1].wait().unwrap();
    let code = both[0].wait().unwrap().code();
    // It may have done its last step before the signal came.
    assert!(code == Some(0) || (code == Some(1) && said.join("\n").contains("process 1: it is gone")), "{said:?}");
    place.fine("pretrain slow.yaml --output two");
    assert!(place.checkpoint("two", 20) == place.checkpoint("one", 20));
}

#[test]
fn a_crash_while_a_checkpoint_is_written_loses_none() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output whole --set steps=8");
    let whole = place.checkpoint("whole", 8);
    for crash in [1, 4, 7, 10, 13, 16, 19, 22, 25] {
        let run = format!("crash-{crash}");
        let arguments = format!("pretrain run.yaml --output {run} --set steps=8");
        let ended = place.command(&arguments).env("REDPAJAMA_CRASH_AT", crash.to_string()).output().unwrap();
        assert!(!ended.status.success(), "{crash}: {}", text(&ended.stderr));
        place.fine(&arguments);
        assert!(place.checkpoint(&run, 8) == whole, "{crash}");
    }
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_is_used() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output run");
    let whole = place.checkpoint("run", 20);
    for name in ["model.safetensors", "moments.safetensors", "state.json", "config.json"] {
        let path = place.path("run/checkpoints/step-000000020").join(name);
        let mut bytes = read(&path);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let (_, said) = place.fine("pretrain run.yaml --output run");
        assert!(said.contains(&format!("step-000000020/{name}")), "{said}");
        assert!(said.contains("going on after step 16"), "{said}");
        assert!(place.checkpoint("run", 20) == whole, "{name}");
    }
    std::fs::remove_file(place.path("run/checkpoints/step-000000020/moments.safetensors")).unwrap();
    let (_, said) = place.fine("pretrain run.yaml --output run");
    assert!(said.contains("going on after step 16"), "{said}");
    for step in [12, 16, 20] {
        std::fs::write(place.path(&format!("run/checkpoints/step-{step:09}/state.json")), "{").unwrap();
    }
    place.fails("pretrain run.yaml --output run", 65, "no checkpoint is whole");
}

/// What is done to a file's bytes.
type Change = dyn Fn(Vec<u8>) -> Vec<u8>;

#[test]
fn whoever_reads_a_run_s_model_takes_the_latest_checkpoint_that_is_whole() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output run");
    let damage = |step: u64, name: &str, how: &Change| {
        let path = place.path(&format!("run/checkpoints/step-{step:09}/{name}"));
        let whole = read(&path);
        std::fs::write(&path, how(whole.clone())).unwrap();
        (path, whole)
    };
    let generate = |model: &str| format!("generate {model} --ids 5,16 --tokens 4");
    let (last, _) = place.fine(&generate("run"));
    let (before, _) = place.fine(&generate("run/checkpoints/step-000000016"));
    let weights = read(&place.path("run/checkpoints/step-000000016/model.safetensors"));
    // One bit of a weight's exponent, a file that is cut, a state of which nothing is left.
    let flip = |mut bytes: Vec<u8>| {
        let last = bytes.len() - 1;
        bytes[last] ^= 0x40;
        bytes
    };
    let ways: [(&str, &Change); 4] = [
        ("model.safetensors", &flip),
        ("model.safetensors", &|bytes| bytes[..bytes.len() / 2].to_vec()),
        ("config.json", &|bytes| text(&bytes).replace("0.25", "0.5").into_bytes()),
        ("state.json", &|_| Vec::new()),
    ];
    for (number, (name, how)) in ways.into_iter().enumerate() {
        let (path, whole) = damage(20, name, how);
        let warning = format!("warning: {}", path.strip_prefix(place.folder.path()).unwrap().display());
        for arguments in
            ["eval run --config run.yaml", &format!("export run --output exported-{number}"), &generate("run")]
        {
            let (_, said) = place.fine(arguments);
            assert!(said.contains(&warning) && said.contains("going back to the checkpoint before"), "{name}: {said}");
        }
        assert_eq!(place.fine(&generate("run")).0, before);
        assert!(read(&place.path(&format!("exported-{number}/model.safetensors"))) == weights);
        // Who names that very one is refused, and told of the run.
        let one = "run/checkpoints/step-000000020";
        place.fails(&generate(one), 65, "take another checkpoint of run");
        place.fails(&format!("pretrain run.yaml --output refused --set start={one}"), 65, name);
        std::fs::write(path, whole).unwrap();
    }
    // A copy is known by its state as well.
    std::fs::rename(place.path("run/checkpoints/step-000000020"), place.path("copy")).unwrap();
    assert_eq!(place.fine(&generate("copy")).0, last);
    let weights = place.path("copy/model.safetensors");
    let whole = read(&weights);
    std::fs::write(&weights, flip(whole.clone())).unwrap();
    place.fails(&generate("copy"), 65, "copy/model.safetensors");
    std::fs::write(&weights, whole).unwrap();
    std::fs::rename(place.path("copy"), place.path("run/checkpoints/step-000000020")).unwrap();
    // Moments are read by none of them.
    damage(20, "moments.safetensors", &|_| Vec::new());
    assert_eq!(place.fine(&generate("run")).0, last);
    for step in [12, 16, 20] {
        damage(step, "model.safetensors", &|_| Vec::new());
    }
    place.fails("export run --output none", 65, "hint: no checkpoint of this run is whole");
    assert!(!place.path("none").exists());
}

#[test]
fn a_checkpoint_that_lost_its_state_is_named() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output run");
    place.fine("export run --output exported");
    let (before, _) = place.fine("generate run/checkpoints/step-000000016 --ids 5,16 --tokens 4");
    let lost = "run/checkpoints/step-000000020";
    std::fs::remove_file(place.path(lost).join("state.json")).unwrap();
    let words = format!("{lost}/state.json: is not there");
    let (after, said) = place.fine("generate run --ids 5,16 --tokens 4");
    assert!(said.contains(&format!("warning: {words}")) && after == before, "{said}");
    // By its own name it is refused, wherever it lies; what was exported has no state, and needs none.
    for arguments in [
        format!("export {lost} --output none"),
        format!("import {lost} --output none"),
        format!("pretrain run.yaml --output none --set start={lost}"),
    ] {
        place.fails(&arguments, 65, &words);
    }
    place.fine("import exported --output imported");
    std::fs::rename(place.path(lost), place.path("copy")).unwrap();
    place.fails("generate copy --ids 5 --tokens 1", 65, "copy/state.json: is not there");
    std::fs::rename(place.path("copy"), place.path(lost)).unwrap();
    let (_, said) = place.fine("pretrain run.yaml --output run");
    assert!(said.contains(&words) && said.contains("before\ngoing on after step 16\n"), "{said}");
    // Where none is before it, none is gone back to; and a run that was killed in its first begins anew.
    place.fine("pretrain run.yaml --output one --set steps=1");
    std::fs::remove_file(place.path("one/checkpoints/step-000000001/state.json")).unwrap();
    let (_, said) = place.fine("pretrain run.yaml --output one --set steps=2");
    assert!(said.contains("step-000000001/state.json: is not there") && !said.contains("going"), "{said}");
}

#[test]
fn what_does_not_fit_is_refused() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output run --set steps=2");
    for (arguments, code, words) in [
        ("pretrain run.yaml --set stepz=3", 64, "did you mean `steps`?"),
        ("pretrain run.yaml --set model.vocab_size=30", 64, "has 32 tokens, the model 30"),
        ("pretrain run.yaml --set model.eos_token_id=5", 64, "end with token 0, those of the model with 5"),
        ("pretrain run.yaml --set tokenizer=run.yaml", 64, "were made with tokenizer"),
        ("generate run --prompt word", 2, "run has no tokenizer.json to read a text with"),
        ("generate run --prompt word --tokenizer run.yaml", 64, "run.yaml is not a tokenizer that we can run"),
        ("generate run --ids 1 --temperature=-1", 2, "expected a number from 0"),
        ("pretrain run.yaml --set data.from=nowhere", 64, "nowhere has no catalog.json"),
        ("pretrain run.yaml --set data.mixture.third=1", 64, "no slice `third`"),
        ("pretrain run.yaml --set start=corpus", 64, "corpus has neither model.safetensors nor"),
        ("pretrain nowhere.yaml", 1, "cannot read nowhere.yaml"),
        ("generate run --ids 1 --tokens 99", 2, "the model's longest text is 32"),
        ("generate run --ids 40", 2, "token 40 is not below the model's 32"),
        ("export corpus --output e", 1, "config.json"),
        ("bench pythia-15m", 64, "did you mean `pythia-14m`?"),
    ] {
        place.fails(arguments, code, words);
    }
    std::fs::remove_file(place.path("corpus/shards/second.bin")).unwrap();
    place.fails("pretrain run.yaml", 1, "shards/second.bin");
    let catalog = text(&read(&place.path("corpus/catalog.json"))).replace("\"second\"", "\"other\"");
    std::fs::write(place.path("corpus/catalog.json"), catalog).unwrap();
    place.fails("pretrain run.yaml", 65, "is not as it was sealed");
}

#[test]
fn a_run_that_learns_nothing_ends() {
    let place = Place::new();
    place.fails(
        "pretrain run.yaml --output run --set optimizer.rate=1e30 --set guard.abort=3 --set optimizer.clip=0",
        1,
        "3 steps in a row were skipped",
    );
}

#[test]
fn a_trained_model_is_evaluated_exported_and_goes_on() {
    let place = Place::new();
    place.fine("pretrain run.yaml --output run");
    let (table, _) = place.fine("eval run --config run.yaml");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((rows[1][0], rows[2][0], rows[1][1]), ("first", "second", "112"), "{table}");
    assert!(rows[1][2].parse::<f64>().unwrap() < losses(&place, "run")[0], "{table}");
    let (picture, _) = place.fine("plot run");
    assert!(picture.starts_with("<svg") && picture.contains(">second<") && picture.contains(">held out<"), "{picture}");
    place.fine("plot run --output loss.png");
    assert!(read(&place.path("loss.png")).starts_with(b"\x89PNG"));
    place.fails("plot run --output loss.jpg", 2, "pictures end in `.svg` or `.png`");
    assert!(place.path("run").join(trainer::events::EVENTS).is_file());
    let (greedy, _) = place.fine("generate run --ids 5,16 --tokens 8");
    assert_eq!(place.fine("generate run --ids 5,16 --tokens 8 --threads 1").0, greedy);
    assert!(greedy.trim().split(',').count() <= 8, "{greedy}");
    place.fine("generate run --ids 5,16,3 --tokens 0 --logits all.npy");
    let all = read(&place.path("all.npy"));
    let header = text(&all[10..128]);
    assert!(header.contains("'descr': '<f4'") && header.contains("'shape': (3, 32)"), "{header}");
    assert_eq!(all.len(), 128 + 3 * 32 * 4);
    place.fine("generate run --ids 5,16 --tokens 0 --logits two.npy");
    let numbers = |bytes: &[u8]| bytes.chunks(4).map(f32::take).collect::<Vec<f32>>();
    // A row for each token, which knows nothing of those after it; sums of another shape differ by a rounding.
    let (three, two) = (numbers(&all[128..]), numbers(&read(&place.path("two.npy"))[128..]));
    assert!(crate::support::distance(&three[..2 * 32], &two) < 1e-6, "{three:?} {two:?}");
    // Its last row says what comes next.
    let likeliest = (0..32).max_by(|a, b| two[32 + a].total_cmp(&two[32 + b])).unwrap();
    assert_eq!(greedy.split(',').next().unwrap().trim(), likeliest.to_string());
    let (drawn, _) = place.fine("generate run --ids 5,16 --tokens 8 --temperature 2 --top-k 20 --top-p 0.95 --seed 4");
    assert_ne!(drawn, greedy);

    place.fine("export run --output exported --file-size 1");
    assert_eq!(place.fine("generate exported --ids 5,16 --tokens 8").0, greedy);
    place.fine("import exported --output imported");
    assert_eq!(read(&place.path("imported/model.safetensors")), read(&place.path("exported/model.safetensors")));
    place.fine("export run --output small --dtype bf16");
    let (small, _) = place.fine("eval small --config run.yaml");
    let loss = small.lines().nth(1).unwrap().split_whitespace().nth(2).unwrap().parse::<f64>().unwrap();
    assert!((loss - rows[1][2].parse::<f64>().unwrap()).abs() < 0.05, "{small}{table}");
    place.fails("export run --output small", 2, "has a model");
    // One weight that a narrower width has no room for, and then one that is no number.
    let path = place.path("exported/model.safetensors");
    let mut bytes = read(&path);
    let end = bytes.len();
    for (number, dtype, words) in [
        (70_000f32, "f16", "weights too large for float16\nhint: `--dtype bf16` and `--dtype f32` have room for them"),
        (f32::NAN, "bf16", "weights no finite numbers\nhint: the model is broken"),
    ] {
        bytes[end - 4..].copy_from_slice(&number.to_le_bytes());
        std::fs::write(&path, &bytes).unwrap();
        place.fails(&format!("export exported --output narrow --dtype {dtype}"), 64, words);
        assert!(!place.path("narrow").exists());
    }
    place.fails("import exported --output narrow", 64, "weights no finite numbers");
    std::fs::remove_dir_all(place.path("exported")).unwrap();
    place.fine("export run --output exported");

    // Where it starts from a model, the first loss is that model's.
    place.fine("pretrain run.yaml --output more --set start=exported --set seed=9");
    let (first, ended) = (losses(&place, "more")[0], losses(&place, "run")[19]);
    assert!((first - ended).abs() < 0.5, "{first} {ended}");
    place.fails("pretrain run.yaml --output wide --set start=exported --set model.hidden_size=32", 64, "is [32, 16]");
}

#[test]
fn what_it_would_take_is_told() {
    let place = Place::new();
    let (told, _) = place.fine("plan run.yaml");
    for words in ["memory", "a checkpoint", "2.56 k tokens", "first", "epochs", "6N + 12LTd", "measured", "about "] {
        assert!(told.contains(words), "{told}");
    }
    let moments = |options: &str| {
        let (told, _) = place.fine(&format!("plan run.yaml{options}"));
        let line = told.lines().find(|line| line.starts_with("moments")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()
    };
    assert!((moments("") / moments(" --processes 4") - 4.0).abs() < 0.1);
    place.fails("plan run.yaml --processes 3", 64, "3 processes");
    // A launcher is asked as `pretrain` asks it: of four processes two are here, and not the first that writes.
    let mut launched = place.command("plan run.yaml");
    launched.envs([("RANK", "2"), ("WORLD_SIZE", "4"), ("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "2")]);
    let told = text(&launched.env("MASTER_ADDR", "first.example").output().unwrap().stdout);
    assert!(told.contains(", of 2 of 4 processes, those of this machine\n") && told.contains("exchange"), "{told}");
    let (told, _) = place.fine("plan run.yaml --processes 4");
    assert!(told.contains(", of 4 processes, while a checkpoint is written\n"), "{told}");
    let (told, _) = place.fine("plan run.yaml --set peak_flops=9.89e14");
    assert!(told.contains("989.00 TFLOP/s (given by `peak_flops`)"), "{told}");
    let (told, _) = place.fine("doctor");
    assert!(told.contains("cores") && !told.contains('{') && told.contains("cpu") && told.contains("FLOP/s"), "{told}");
    for words in ["`cuda` device is not built yet", "libcuda.so.1", "libnvrtc.so", "libcublasLt.so", "CUDA_HOME"] {
        assert!(told.contains(words), "{told}");
    }
    let config = crate::support::config(true, "tanh").to_json("float32");
    std::fs::write(place.path("config.json"), config.to_string()).unwrap();
    let (told, _) = place.fine("bench config.json --sequence 8 --batch 1 --steps 1 --threads 1 --precision fp16");
    assert!(
        told.contains("1 threads, fp16: ")
            && told.contains("tokens/CPU-s")
            && told.contains("MFU ")
            && told.contains("6(N - Vd) + 6LTd"),
        "{told}"
    );
    std::fs::write(place.path("large.yaml"), "model: incite-3b\n").unwrap();
    let (told, _) = place.fine("plan large.yaml");
    assert!(told.contains("not published: ours are Pythia's"), "{told}");
    assert!(told.contains("2,775,864,320 parameters") && told.contains("there are no shards"), "{told}");
}

#[test]
fn a_text_that_grows_has_the_logits_of_the_whole() {
    use crate::support::{config, given, weights};
    use trainer::generate::Text;
    use trainer::model::{Batch, Model};

    for (sequential, act) in [(true, "tanh"), (false, "erf")] {
        let config = config(sequential, act);
        let cpu: trainer::cpu::Cpu<f64> = trainer::cpu::Cpu::new(2).unwrap();
        let model = Model::new(&cpu, &config);
        let weights = model.upload(&weights(&config));
        let given = given();
        let tokens = &given.tokens[..66];
        let mut room = model.activations(1, 66, false);
        let scales = vec![0.0; 66];
        let batch = Batch { tokens, targets: &given.targets[..66], starts: None, scales: &scales };
        model.forward(&weights, &batch, &mut room);
        let whole = model.logits(&weights, &mut room);
        let mut text = Text::new(&model, &weights, 66).unwrap();
        let mut at = 0;
        for count in [1, 5, 1, 1, 40, 18] {
            let logits = text.extend(&tokens[at..at + count]).unwrap();
            at += count;
            for (got, right) in logits.iter().zip(&whole[(at - 1) * 37..]) {
                assert!((got.f64() - right).abs() < 1e-12, "after {at}: {got} {right}");
            }
        }
        assert!(text.extend(&[1]).is_err());
    }
}
