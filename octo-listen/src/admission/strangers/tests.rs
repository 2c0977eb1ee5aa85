//! Floods by a clock of their own, and who loses, waits or begins.

use super::*;
use std::collections::HashSet;

/// A quarter of what 1,024 descriptors give, for a quarter of 200 and 1,000 a second.
const CAPACITY: Capacity = Capacity { waiting: 64, handshakes: 32, farewells: 8 };

/// What a peer of a flood does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Silent,
    /// Its ClientHello, and no more.
    Stopped,
    /// A whole handshake, with a certificate that nobody trusts.
    Refused,
}

/// How many of ten tries of a pusher from this address succeed, whose ClientHello
/// comes 50 ms after its connection, and the rest another 100 ms later; a fifth of a second
/// apart, while so many strangers a second come from where `flood` says.
fn served(address: &str, is_named: bool, kind: Kind, rate: u64, flood: fn(u32) -> IpAddr) -> usize {
    let mut strangers = Strangers::new(CAPACITY);
    let (begin, mut came, mut served) = (Instant::now(), 0, 0);
    let (mut mine, mut ends) = (None, Vec::new());
    // Those who came first have had their time by then.
    let full = if kind == Kind::Stopped { 10_400 } else { 1200 };
    for millisecond in (0..full + 2200u64).step_by(5) {
        let now = begin + Duration::from_millis(millisecond);
        strangers.overdue(now);
        while u64::from(came) * 1000 < millisecond * rate {
            let (number, _) = strangers.admit(flood(came), false, false, now);
            came += 1;
            if kind != Kind::Silent {
                strangers.is_ready(number);
            }
        }
        if (full..full + 2000).contains(&millisecond) && millisecond % 200 == 0 {
            let address = address.parse().expect("ip");
            mine = Some((strangers.admit(address, is_named, true, now).0, now));
        }
        if let Some((number, since)) = mine
            && now == since + Duration::from_millis(50)
        {
            strangers.is_ready(number);
        }
        while let Some((waiting, shaking)) = strangers.begin(now) {
            let lasts = match (waiting.connection, kind) {
                (true, _) => Duration::from_millis(100),
                (false, Kind::Stopped) => HANDSHAKE - (now - waiting.since),
                (false, _) => Duration::from_millis(5),
            };
            ends.push((now + lasts, waiting.connection, shaking));
        }
        ends.retain(|(end, is_pusher, shaking)| {
            if *end <= now {
                // Nobody knows him by an earlier try.
                strangers.over(*shaking, (!is_pusher).then_some(false), now);
                served += usize::from(*is_pusher);
            }
            *end > now
        });
        assert!(strangers.waiting.len() <= CAPACITY.waiting);
        assert!(strangers.shaking.len() <= CAPACITY.handshakes);
    }
    served
}

fn one_address(_: u32) -> IpAddr {
    IpAddr::from([192, 0, 2, 2])
}

fn one_network(n: u32) -> IpAddr {
    IpAddr::from([10, 1, (n >> 8) as u8, n as u8])
}

/// Addresses of everywhere, hardly one twice.
fn everywhere(n: u32) -> IpAddr {
    IpAddr::from(n.wrapping_mul(2_654_435_761).to_be_bytes())
}

#[test]
fn a_flood_keeps_nobody_out_who_comes_from_elsewhere() {
    for kind in [Kind::Silent, Kind::Stopped, Kind::Refused] {
        for (rate, flood) in [(50, one_address as fn(u32) -> IpAddr), (250, one_network)] {
            let served = served("192.0.2.1", false, kind, rate, flood);
            assert_eq!(served, 10, "{kind:?} {rate}");
        }
    }
    assert_eq!(served("192.0.2.1", false, Kind::Silent, 250, everywhere), 10);
}

#[test]
fn silence_keeps_nobody_out_of_the_same_address() {
    assert_eq!(served("192.0.2.2", false, Kind::Silent, 50, one_address), 10);
    assert_eq!(served("10.1.0.1", false, Kind::Silent, 250, one_network), 10);
}

/// What no network tells from a pusher keeps out all but those who are expected.
#[test]
fn who_is_named_has_places_of_his_own() {
    for kind in [Kind::Silent, Kind::Stopped, Kind::Refused] {
        assert_eq!(served("192.0.2.1", true, kind, 250, everywhere), 10, "{kind:?}");
    }
}

/// Who lost his place, of so many that came from these addresses, to one from the last.
fn loser(addresses: &[IpAddr], newcomer: IpAddr, is_named: bool) -> u64 {
    let mut strangers = Strangers::new(Capacity { waiting: addresses.len(), ..CAPACITY });
    for address in addresses {
        let (_, lost) = strangers.admit(*address, false, (), Instant::now());
        assert!(lost.is_none());
    }
    let (_, lost) = strangers.admit(newcomer, is_named, (), Instant::now());
    lost.expect("one had to go").number
}

#[test]
fn the_loser_is_any_of_the_older_half_of_the_fullest_crowd() {
    let alone: IpAddr = [192, 0, 2, 1].into();
    let crowd = [&[alone][..], &(0..20).map(one_address).collect::<Vec<_>>()].concat();
    let network: Vec<IpAddr> = (0..19).map(one_network).collect();
    let network = [&[alone][..], &network, &[[198, 51, 100, 1].into()]].concat();
    for addresses in [&crowd, &network] {
        let losers: HashSet<u64> =
            (0..1000).map(|_| loser(addresses, [203, 0, 113, 1].into(), false)).collect();
        // The crowd has the numbers from 1 on; all of its older half are drawn, and no other.
        assert_eq!(losers, HashSet::from_iter(1..=10));
    }
}

#[test]
fn who_is_expected_takes_a_place_of_the_others_and_they_take_none_of_his_part() {
    let expected: IpAddr = [192, 0, 2, 1].into();
    let mut strangers = Strangers::new(CAPACITY);
    let part = CAPACITY.waiting / FOR_EXPECTED;
    let numbers: Vec<u64> =
        (0..part).map(|_| strangers.admit(expected, true, (), Instant::now()).0).collect();
    for n in 0..1000 {
        strangers.admit(everywhere(n), false, (), Instant::now());
    }
    assert!(numbers.iter().all(|number| strangers.find(*number).is_some()));
    // A flood from there takes no more than that.
    for _ in 0..1000 {
        strangers.admit(expected, true, (), Instant::now());
    }
    let is_expected = |waiting: &&Waiting<()>| waiting.is_expected;
    assert_eq!(strangers.waiting.iter().filter(is_expected).count(), part);
    assert_eq!(strangers.waiting.len(), CAPACITY.waiting);
}

/// No line need name his network: somebody was let in from there.
#[test]
fn who_was_let_in_of_late_is_expected_there() {
    let familiar: IpAddr = [192, 0, 2, 1].into();
    let mut strangers = Strangers::new(CAPACITY);
    let now = Instant::now();
    let begins = |strangers: &mut Strangers<()>, address, now| {
        let (number, _) = strangers.admit(address, false, (), now);
        strangers.is_ready(number);
        strangers.begin(now).filter(|(begun, _)| begun.number == number).map(|(_, shaking)| shaking)
    };
    let shaking = begins(&mut strangers, familiar, now).expect("all is free");
    strangers.over(shaking, Some(true), now);
    // Handshakes that never end have all places of those who are not expected.
    let begun = (0..).take_while(|n| begins(&mut strangers, everywhere(*n), now).is_some());
    assert_eq!(begun.count(), 24);
    assert!(begins(&mut strangers, [192, 0, 2, 2].into(), now).is_none());
    assert!(begins(&mut strangers, familiar, now).is_some());
    let next_day = now + Duration::from_secs(24 * 60 * 60);
    assert!(begins(&mut strangers, familiar, next_day).is_none());
}

#[test]
fn a_source_that_keeps_failing_has_one_handshake_at_a_time() {
    let mut strangers = Strangers::new(CAPACITY);
    let now = Instant::now();
    let wait = |strangers: &mut Strangers<()>, n: u32| {
        let (number, _) = strangers.admit(one_address(n), false, (), now);
        strangers.is_ready(number);
    };
    for n in 0..100 {
        wait(&mut strangers, n);
        let Some((_, shaking)) = strangers.begin(now) else { break };
        strangers.over(shaking, Some(false), now);
    }
    wait(&mut strangers, 0);
    assert!(strangers.has_ready() && strangers.begin(now).is_none());
    let later = now + Duration::from_secs(1);
    let (_, shaking) = strangers.begin(later).expect("its time has come");
    assert!(strangers.begin(later).is_none());
    strangers.over(shaking, Some(true), later);
    assert!(strangers.begin(later).is_some(), "one success clears it");
}

/// Of the places for handshakes a party gets a part, and its network another.
#[test]
fn nobody_has_more_than_a_share_of_the_handshakes() {
    let begun = |from: fn(u32) -> IpAddr| {
        let mut strangers = Strangers::new(Capacity { waiting: 512, ..CAPACITY });
        for n in 0..500 {
            let (number, _) = strangers.admit(from(n), false, (), Instant::now());
            strangers.is_ready(number);
        }
        std::iter::from_fn(|| strangers.begin(Instant::now())).count()
    };
    // Of 32, a quarter is for those who are expected.
    assert_eq!(begun(one_address), 5);
    assert_eq!(begun(one_network), 12);
    assert_eq!(begun(everywhere), 24);
}
