//! Plan -> a running lab: up, down, find, and the lab's one background process. The only room that
//! changes the machine, through [`net`](crate::net) and [`runtime`](crate::runtime).
