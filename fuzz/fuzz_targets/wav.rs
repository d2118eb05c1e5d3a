//! Sound files of users: any bytes are samples or an error, and no more samples than there are bytes for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use overlay_voice::wav;

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("overlay-fuzz-{}.wav", std::process::id()));
    std::fs::write(&path, bytes).expect("there is room for a small file");
    if let Ok(samples) = wav::read(&path) {
        assert!(2 * samples.len() <= bytes.len());
        assert!(samples.iter().all(|sample| (-1.0..=1.0).contains(sample)));
    }
    let _ = std::fs::remove_file(&path);
});
