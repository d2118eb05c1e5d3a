//! What comes on a node's control socket and what labctl reads from it: what is JSON of a kind is so again.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use overlay_control::{
    AgeRequest, AwaitCallRequest, CallLine, CallRequest, EventLine, LoginRequest, NodeConfig, SearchLine,
    SearchRequest, Status, UserRecord,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn same<T: Serialize + DeserializeOwned + Debug>(bytes: &[u8]) {
    if let Ok(read) = serde_json::from_slice::<T>(bytes) {
        let written = serde_json::to_value(&read).expect("what was JSON is JSON");
        let again: T = serde_json::from_value(written.clone()).expect("what was written can be read");
        assert_eq!(serde_json::to_value(&again).expect("what was JSON is JSON"), written);
    }
}

fuzz_target!(|bytes: &[u8]| {
    same::<NodeConfig>(bytes);
    same::<LoginRequest>(bytes);
    same::<SearchRequest>(bytes);
    same::<CallRequest>(bytes);
    same::<AwaitCallRequest>(bytes);
    same::<AgeRequest>(bytes);
    same::<UserRecord>(bytes);
    same::<EventLine>(bytes);
    same::<SearchLine>(bytes);
    same::<CallLine>(bytes);
    same::<Status>(bytes);
});
