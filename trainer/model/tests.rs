use super::*;
use crate::config::Preset;
use crate::cpu::Cpu;
use crate::weights::start;

#[test]
fn what_is_stored_is_what_sixteen_bits_hold() {
    for (precision, parallel) in [(Precision::Bf16, false), (Precision::Fp16, true), (Precision::Bf16, true)] {
        let mut config = Preset::find("pythia-14m").unwrap().config();
        (config.vocab_size, config.hidden_size, config.intermediate_size) = (61, 24, 40);
        (config.num_hidden_layers, config.use_parallel_residual) = (2, parallel);
        let cpu: Cpu<f32> = Cpu::rounding(2, precision).unwrap();
        let model = Model::new(&cpu, &config);
        let weights = model.upload(&start(&config, 3));
        let rounded = model.rounded(&weights).unwrap();
        let mut room = model.activations(2, 70, true);
        let tokens: Vec<u32> = (0..140).map(|at| at * 7 % 61).collect();
        let scales = vec![1.0 / 140.0; 140];
        let batch = Batch { tokens: &tokens, targets: &tokens, starts: None, scales: &scales };
        model.forward(&rounded, &batch, &mut room);
        model.logits(&rounded, &mut room);
        let held = |name: &str, numbers: &[f32]| {
            let mut other = 0;
            for number in numbers {
                let nearest = if precision == Precision::Bf16 { number.bf16() } else { number.fp16() };
                assert!(nearest == *number, "{precision:?} {name}: {number:e} is not {nearest:e}");
                other += usize::from(*number != 0.0);
            }
            assert!(other > numbers.len() / 8, "{name} is empty");
        };
        let logits = room.logits.clone();
        let mut gradients = model.gradients();
        model.backward(&rounded, &mut room, &mut gradients);
        rounded.iter().for_each(|weight| weight.iter().for_each(|number| assert!(number.is_finite())));
        held("weights", &rounded.head);
        held("logits", &logits[..140 * 61]);
        held("their gradients", &room.logits[..140 * 61]);
        room.stream.iter().for_each(|stream| held("stream", stream));
        for saved in &room.saved {
            for (name, numbers) in [
                ("norm", &saved.norm1),
                ("queries, keys, values", &saved.qkv),
                ("attended", &saved.attended),
                ("second norm", &saved.norm2),
                ("up", &saved.up),
                ("gelu", &saved.gelu),
            ] {
                held(name, numbers);
            }
            saved.middle.iter().for_each(|middle| held("middle", middle));
        }
        held("last", &room.last);
        let flow = room.backward.as_ref().unwrap();
        for (name, numbers) in [
            ("dstream", &flow.dstream),
            ("dnorm", &flow.dnorm),
            ("dattended", &flow.dattended),
            ("dqkv", &flow.dqkv),
            ("dup", &flow.dup),
        ] {
            held(name, numbers);
        }
        // Sums of many passes are not rounded.
        assert!(gradients.head.iter().any(|number| number.bf16() != *number && number.fp16() != *number));
        assert!(weights.head.iter().any(|number| number.bf16() != *number && number.fp16() != *number));
    }
}
