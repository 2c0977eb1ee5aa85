# shellcheck shell=bash
# What comes after the first deployment: one that fails, one that is taken back; names; users.
# shellcheck disable=SC2016 # what is in single quotes is for the machines

a_release_that_fails() {
  make_shop 1.5
  as octopus alice 'touch shop/broken; octo-pack -q shop shop 1.5; rm shop/broken' >/dev/null
  step 1 octopus alice 'octo-deploy -t web shop-1.5.tar'
  check 'tentacle: 1.4 runs again' there '[[ $(</srv/shop/current/page) == "shop 1.4" ]]'
  as octopus alice 'mv shop/page page; octo-pack -q shop shop 1.6; mv page shop/' >/dev/null
  # The health check's own status.
  step 2 octopus alice 'octo-deploy -t web --health ./health.sh shop-1.6.tar'
  check 'tentacle: 1.4 runs again' there '[[ $(</srv/shop/current/page) == "shop 1.4" ]]'
}

a_release_that_is_taken_back() {
  make_shop 1.7
  as octopus alice 'octo-pack -q shop shop 1.7' >/dev/null
  step 0 octopus alice 'octo-deploy -t web --health ./health.sh shop-1.7.tar'
  runs_release 1.7
  step 0 octopus alice 'octo-rollback -t web shop'
  check 'tentacle: 1.4 runs again' there '[[ $(</srv/shop/current/page) == "shop 1.4" ]]'
}

a_target_by_name() {
  as octopus root "echo '$ADDRESS_OF_TENTACLE web1.example' >>/etc/hosts"
  as octopus alice \
    "echo 'web2 web1.example ${THUMBPRINT_OF[tentacle]}' >>~/.config/octo/targets"
  step 0 octopus alice 'octo-push -t web2 run -c id'
  check 'octopus: it ran as deploy' says 'uid=[0-9]+\(deploy\)'
  as octopus alice "echo 'web3 nowhere.example ${THUMBPRINT_OF[tentacle]}' \
    >>~/.config/octo/targets"
  step 69 octopus alice 'octo-push -t web3 status'
  check 'octopus: it says which name' says 'nowhere\.example'
}

# users_of_elsewhere: jobs run as one whom /etc/passwd doesn't know
users_of_elsewhere() {
  if ! there 'ls /srv/libnss-extrausers_*.deb' >/dev/null 2>&1; then
    note 'not tried: users by NSS'
    return 0
  fi
  step 0 tentacle root 'dpkg -i /srv/libnss-extrausers_*.deb'
  there '
    sed -i "s/^\(passwd\|group\|shadow\):.*/& extrausers/" /etc/nsswitch.conf
    mkdir -p /var/lib/extrausers
    echo "carol:x:3000:3000::/srv/carol:/bin/sh" >/var/lib/extrausers/passwd
    echo "carol:x:3000:" >/var/lib/extrausers/group
    echo "more:x:3001:carol" >>/var/lib/extrausers/group
    install -d -o carol -g carol /srv/carol
    sed -i s/user=deploy/user=carol/ /etc/octo/trusted'
  step 0 octopus alice 'octo-push -t web1 run -c id'
  check 'octopus: it ran as a user that NSS alone knows' \
    says 'uid=3000\(carol\) gid=3000\(carol\) groups=3000\(carol\),3001\(more\)'
  there 'sed -i s/user=carol/user=deploy/ /etc/octo/trusted'
}

quickstart_of_the_package() {
  step 0 octopus alice '/usr/lib/octo/quickstart --bin /usr/bin'
  check 'octopus: it came to its end' says 'That was all of it'
}
