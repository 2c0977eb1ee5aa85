# A share of the fleet each gets a package from each of four allocations of a Nomad batch job.
# Untested: there is no Nomad where octo's tests run. Nomad counts from 0, shares from 1.
job "octo-put" {
  type = "batch"

  group "share" {
    count = 4

    # A share that failed is put once more; what is there already is not sent again.
    restart {
      attempts = 1
      mode     = "fail"
    }

    task "put" {
      driver = "raw_exec"

      # A STATE a client, on its own disk: octo-push journal --from merges copies of them.
      env {
        OCTO_STATE = "/var/lib/octo-put"
      }

      config {
        command = "/bin/sh"
        args = [
          "-c",
          "exec octo-push -t web --shard $((NOMAD_ALLOC_INDEX + 1))/4 put /srv/packages/shop-1.4.tar",
        ]
      }
    }
  }
}
