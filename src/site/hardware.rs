//! What the kernel says of this machine's processors and memory.

use std::collections::BTreeSet;
use std::path::Path;

use crate::fs;
use crate::threads;

#[derive(Debug, Clone)]
pub(super) struct Hardware {
    /// That this process may use.
    pub(super) cores: usize,
    /// Sockets of the main board; 1 where the kernel does not tell.
    pub(super) processors: usize,
    /// Bytes.
    pub(super) memory: u64,
}

impl Hardware {
    pub(super) fn of_kernel() -> Hardware {
        let cores = threads::processors();
        let memory = rustix::system::sysinfo();
        // As wide as a word of the machine, which is less than 64 bits on some.
        #[allow(clippy::useless_conversion)]
        let total = u64::from(memory.totalram);
        Hardware {
            cores,
            processors: physical_processors(cores),
            memory: total.saturating_mul(memory.mem_unit.into()),
        }
    }
}

fn physical_processors(cores: usize) -> usize {
    // `/proc/cpuinfo` would tell the same, and take milliseconds per core.
    let id = |core: usize| {
        let file = format!("/sys/devices/system/cpu/cpu{core}/topology/physical_package_id");
        fs::read_optional(Path::new(&file)).ok().flatten()
    };
    (0..cores).filter_map(id).collect::<BTreeSet<_>>().len().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_the_kernel_lists_as_total() {
        let told = std::fs::read_to_string("/proc/meminfo").unwrap();
        let line = told.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
        let kilobytes: u64 = line.split_whitespace().next().unwrap().parse().unwrap();
        assert_eq!(Hardware::of_kernel().memory, kilobytes * 1024);
    }
}
