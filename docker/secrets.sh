#!/bin/sh
# Makes the secrets of docker-compose.yml, once: a password for each role, and the address it is used in. What is there
# stays. The folder is its owner's alone; the files are readable, because containers read them as users of their own.
#   docker/secrets.sh [FOLDER]
set -eu
folder=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$folder"
for role in superuser owner worker web redis; do
    [ -s "$folder/${role}_password" ] && continue
    password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
    case $role in
        superuser) ;;
        redis) echo "redis://:$password@redis:6379/0" > "$folder/redis_url" ;;
        *) echo "postgresql://shop_$role:$password@postgres/imgsearch" > "$folder/${role}_url" ;;
    esac
    printf %s "$password" > "$folder/${role}_password"
done
chmod 444 "$folder"/*
