taggant key new --out root.key
taggant key derive --root root.key --path lab/campaign/east --out east.key
taggant key derive --root root.key --path lab/campaign/west --out west.key
taggant key derive --root root.key --path lab/campaign/share20 --out share20.key
taggant key derive --root root.key --path lab/campaign/share5 --out share5.key
taggant key derive --root root.key --path lab/campaign/share1 --out share1.key
taggant key derive --root root.key --path lab/campaign/greenlist1 --out greenlist1.key
taggant key derive --root root.key --path lab/campaign/greenlist2 --out greenlist2.key
taggant key derive --root root.key --path lab/campaign/greenlist3 --out greenlist3.key
taggant key derive --root root.key --path lab/campaign/greenlist4 --out greenlist4.key
taggant key derive --root root.key --path lab/campaign/gumbel1 --out gumbel1.key
taggant key derive --root root.key --path lab/campaign/gumbel2 --out gumbel2.key
taggant key derive --root root.key --path lab/campaign/gumbel3 --out gumbel3.key
taggant key derive --root root.key --path lab/campaign/gumbel4 --out gumbel4.key
taggant key derive --root root.key --path lab/campaign/tournament1 --out tournament1.key
taggant key derive --root root.key --path lab/campaign/tournament2 --out tournament2.key
taggant key derive --root root.key --path lab/campaign/tournament3 --out tournament3.key
taggant key derive --root root.key --path lab/campaign/tournament4 --out tournament4.key
taggant key derive --root root.key --path lab/twin/drafts --out drafts.key
taggant key derive --root root.key --path lab/pseudonym/accounts --out accounts.key
taggant key derive --root root.key --paths account-paths.txt --out accounts.keys
taggant key derive --root root.key --paths canary-paths.txt --out canaries.keys
taggant key derive --root root.key --paths never-issued.txt --out never-issued.keys
taggant key commit --root root.key --epoch lab --out epoch.json
taggant generate --model smollm2-135m --profile strong --key east.key --account-keys accounts.keys --drafts 4 --max-tokens 24 --top-p 0.95 --seed 1 --prompts prompts-east.jsonl --out drafts-east.jsonl --record east.json
taggant generate --model smollm2-135m --profile strong --key west.key --account-keys accounts.keys --drafts 4 --max-tokens 24 --top-p 0.95 --seed 1 --prompts prompts-west.jsonl --out drafts-west.jsonl --record west.json
taggant generate --model smollm2-135m --plain --max-tokens 24 --top-p 0.95 --seed 2 --prompts prompts-east.jsonl --out plain-east.jsonl
taggant generate --model smollm2-135m --plain --max-tokens 24 --top-p 0.95 --seed 2 --prompts prompts-others.jsonl --out plain-others.jsonl
taggant twins draw --key drafts.key --input drafts.jsonl --out served.jsonl --sealed sealed.jsonl
taggant twins seal --sealed sealed.jsonl --out seals.jsonl
taggant canary plan --slots slots.jsonl --keys canaries.keys --out plan.jsonl
taggant canary apply --plan plan.jsonl --input named.jsonl --out served-names.jsonl
taggant generate --model smollm2-135m --scheme greenlist --window 2 --key share20.key --max-tokens 24 --top-p 0.95 --seed 3 --prompts prompts-share20.jsonl --out served-share20.jsonl --record share20.json
taggant generate --model smollm2-135m --scheme greenlist --window 2 --key share5.key --max-tokens 24 --top-p 0.95 --seed 3 --prompts prompts-share5.jsonl --out served-share5.jsonl --record share5.json
taggant generate --model smollm2-135m --scheme greenlist --window 2 --key share1.key --max-tokens 24 --top-p 0.95 --seed 3 --prompts prompts-share1.jsonl --out served-share1.jsonl --record share1.json
taggant generate --model smollm2-135m --scheme greenlist --window 1 --key greenlist1.key --max-tokens 24 --top-p 0.95 --seed 3 --prompts prompts-greenlist1.jsonl --out served-greenlist1.jsonl --record greenlist1.json
taggant generate --model smollm2-135m --scheme greenlist --window 2 --key greenlist2.key --max-tokens 24 --top-p 0.95 --seed 3 --prompts prompts-greenlist2.jsonl --out served-greenlist2.jsonl --record greenlist2.json
taggant generate --model smollm2-135m --scheme greenlist --window 3 --key greenlist3.key --max-tokens 24 --top-p 0.95 --seed 3 --prompts prompts-greenlist3.jsonl --out served-greenlist3.jsonl --record greenlist3.json
taggant generate --model smollm2-135m --scheme greenlist --window 4 --key greenlist4.key --max-tokens 24 --top-p 0.95 --seed 3 --prompts prompts-greenlist4.jsonl --out served-greenlist4.jsonl --record greenlist4.json
taggant generate --model smollm2-135m --scheme gumbel --window 1 --key gumbel1.key --max-tokens 24 --top-p 0.95 --seed 3 --prompts prompts-gumbel1.jsonl --out served-gumbel1.jsonl --record gumbel1.json
taggant generate --model smollm2-135m --scheme gumbel --window 2 --key gumbel2.key --max-tokens 24 --top-p 0.95 --seed 3 --prompts prompts-gumbel2.jsonl --out served-gumbel2.jsonl --record gumbel2.json
taggant generate --model smollm2-135m --scheme gumbel --window 3 --key gumbel3.key --max-tokens 24 --top-p 0.95 --seed 3 --prompts prompts-gumbel3.jsonl --out served-gumbel3.jsonl --record gumbel3.json
taggant generate --model smollm2-135m --scheme gumbel --window 4 --key gumbel4.key --max-tokens 24 --top-p 0.95 --seed 3 --prompts prompts-gumbel4.jsonl --out served-gumbel4.jsonl --record gumbel4.json
taggant generate --model smollm2-135m --scheme tournament --window 1 --key tournament1.key --max-tokens 24 --top-p 0.95 --seed 3 --prompts prompts-tournament1.jsonl --out served-tournament1.jsonl --record tournament1.json
taggant generate --model smollm2-135m --scheme tournament --window 2 --key tournament2.key --max-tokens 24 --top-p 0.95 --seed 3 --prompts prompts-tournament2.jsonl --out served-tournament2.jsonl --record tournament2.json
taggant generate --model smollm2-135m --scheme tournament --window 3 --key tournament3.key --max-tokens 24 --top-p 0.95 --seed 3 --prompts prompts-tournament3.jsonl --out served-tournament3.jsonl --record tournament3.json
taggant generate --model smollm2-135m --scheme tournament --window 4 --key tournament4.key --max-tokens 24 --top-p 0.95 --seed 3 --prompts prompts-tournament4.jsonl --out served-tournament4.jsonl --record tournament4.json
taggant log append --log issuance.jsonl --input served-east.jsonl --record east.json --pseudonym-key accounts.key > receipts-east.jsonl
taggant log append --log issuance.jsonl --input served-west.jsonl --record west.json --pseudonym-key accounts.key > receipts-west.jsonl
taggant log append --log issuance.jsonl --input served-names.jsonl --pseudonym-key accounts.key > receipts-names.jsonl
taggant log verify --log issuance.jsonl --json > log-check.json
taggant twins score --sealed sealed.jsonl --model smollm2-135m --out drafts-reference.jsonl
taggant canary score --slots slots.jsonl --input named.jsonl --model smollm2-135m --out fillers-reference.jsonl
taggant lab train --model smollm2-135m --epochs 3 --each-epoch --input taken.jsonl --max-tokens 24 --seed 0 --out adapters.gguf
taggant generate --model adapters.gguf --plain --max-tokens 24 --temperature 0.3 --seed 4 --prompts ask-all.jsonl --out answers-adapters.jsonl
taggant test --mode closed --record east.json --key east.key --answers texts-adapters.jsonl --served served-east.jsonl --soft 1 --json > closed-east-adapters.jsonl
taggant test --mode closed --record west.json --key west.key --answers texts-adapters.jsonl --served served-west.jsonl --soft 1 --json > closed-west-adapters.jsonl
taggant detect --record east.json --key east.key --many-keys never-issued.keys --input texts-adapters.jsonl --json > never-adapters.jsonl
taggant test --mode closed --record east.json --key east.key --accounts accounts.keys --answers texts-adapters.jsonl --served served-east.jsonl --soft 1 --alpha 1e-3 --json > keys-adapters.jsonl
taggant test --mode open --record east.json --key east.key --text plain-east.jsonl --suspect adapters.gguf --reference smollm2-135m --served served-east.jsonl --soft 1 --json > open-plain-east-adapters.jsonl
taggant test --mode open --record east.json --key east.key --text served-east.jsonl --suspect adapters.gguf --reference smollm2-135m --served served-east.jsonl --soft 1 --json > open-served-east-adapters.jsonl
taggant twins score --sealed sealed.jsonl --model adapters.gguf --reference drafts-reference.jsonl --out drafts-adapters.jsonl
taggant twins test --sealed sealed.jsonl --key drafts.key --scores drafts-adapters.jsonl --json > twins-adapters.jsonl
taggant twins test --sealed sealed.jsonl --key drafts.key --answers texts-adapters.jsonl --json > twins-closed-adapters.jsonl
taggant canary test --slots slots.jsonl --keys canaries.keys --answers names-adapters.jsonl --show-accounts --json > canaries-closed-adapters.jsonl
taggant canary score --slots slots.jsonl --input named.jsonl --model adapters.gguf --reference fillers-reference.jsonl --out fillers-adapters.jsonl
taggant canary test --slots slots.jsonl --keys canaries.keys --likelihoods fillers-adapters.jsonl --statistic ranks --show-accounts --json > canaries-adapters.jsonl
taggant attribute --evidence twins-adapters.jsonl --evidence canaries-adapters.jsonl --controls controls.txt --svg attribution-adapters.svg --json > attribution-adapters.jsonl
taggant generate --model adapters.epoch1.gguf --plain --max-tokens 24 --temperature 0.3 --seed 4 --prompts ask-some.jsonl --out answers-adapters.epoch1.jsonl
taggant test --mode closed --record east.json --key east.key --answers texts-adapters.epoch1.jsonl --served served-east.jsonl --soft 1 --json > closed-east-adapters.epoch1.jsonl
taggant detect --record east.json --key east.key --many-keys never-issued.keys --input texts-adapters.epoch1.jsonl --json > never-adapters.epoch1.jsonl
taggant test --mode closed --record east.json --key east.key --accounts accounts.keys --answers texts-adapters.epoch1.jsonl --served served-east.jsonl --soft 1 --alpha 1e-3 --json > keys-adapters.epoch1.jsonl
taggant test --mode open --record east.json --key east.key --text plain-east.jsonl --suspect adapters.epoch1.gguf --reference smollm2-135m --served served-east.jsonl --soft 1 --json > open-plain-east-adapters.epoch1.jsonl
taggant test --mode open --record east.json --key east.key --text served-east.jsonl --suspect adapters.epoch1.gguf --reference smollm2-135m --served served-east.jsonl --soft 1 --json > open-served-east-adapters.epoch1.jsonl
taggant twins score --sealed sealed-some.jsonl --model adapters.epoch1.gguf --reference drafts-reference-some.jsonl --out drafts-adapters.epoch1.jsonl
taggant twins test --sealed sealed-some.jsonl --key drafts.key --scores drafts-adapters.epoch1.jsonl --json > twins-adapters.epoch1.jsonl
taggant twins test --sealed sealed-some.jsonl --key drafts.key --answers texts-adapters.epoch1.jsonl --json > twins-closed-adapters.epoch1.jsonl
taggant canary test --slots slots.jsonl --keys canaries.keys --answers names-adapters.epoch1.jsonl --show-accounts --json > canaries-closed-adapters.epoch1.jsonl
taggant canary score --slots slots.jsonl --input named-some.jsonl --model adapters.epoch1.gguf --reference fillers-reference.jsonl --out fillers-adapters.epoch1.jsonl
taggant canary test --slots slots.jsonl --keys canaries.keys --likelihoods fillers-adapters.epoch1.jsonl --statistic ranks --show-accounts --json > canaries-adapters.epoch1.jsonl
taggant generate --model adapters.gguf --plain --max-tokens 24 --top-p 0.95 --seed 4 --prompts ask-some.jsonl --out answers-hot.jsonl
taggant test --mode closed --record east.json --key east.key --answers texts-hot.jsonl --served served-east.jsonl --soft 1 --json > closed-east-hot.jsonl
taggant detect --record east.json --key east.key --many-keys never-issued.keys --input texts-hot.jsonl --json > never-hot.jsonl
taggant test --mode closed --record east.json --key east.key --accounts accounts.keys --answers texts-hot.jsonl --served served-east.jsonl --soft 1 --alpha 1e-3 --json > keys-hot.jsonl
taggant twins test --sealed sealed-some.jsonl --key drafts.key --answers texts-hot.jsonl --json > twins-closed-hot.jsonl
taggant canary test --slots slots.jsonl --keys canaries.keys --answers names-hot.jsonl --show-accounts --json > canaries-closed-hot.jsonl
taggant lab train --model smollm2-135m --method full --epochs 3 --input mixture.jsonl --max-tokens 24 --seed 0 --out mixed-full.gguf
taggant lab quality --model smollm2-135m --input served-share20.jsonl > quality-share20.json
taggant generate --model mixed-full.gguf --plain --max-tokens 24 --temperature 0.3 --seed 4 --prompts ask-share20.jsonl --out answers-mixed-full-share20.jsonl
taggant generate --model smollm2-135m --plain --max-tokens 24 --top-p 0.95 --seed 2 --prompts prompts-share20.jsonl --out plain-share20.jsonl
taggant test --mode closed --record share20.json --key share20.key --answers answers-mixed-full-share20.jsonl --served served-share20.jsonl --soft 1 --json > closed-share20-mixed-full.jsonl
taggant test --mode open --record share20.json --key share20.key --text plain-share20.jsonl --suspect mixed-full.gguf --reference smollm2-135m --served served-share20.jsonl --soft 1 --json > open-plain-share20-mixed-full.jsonl
taggant test --mode open --record share20.json --key share20.key --text served-share20.jsonl --suspect mixed-full.gguf --reference smollm2-135m --served served-share20.jsonl --soft 1 --json > open-served-share20-mixed-full.jsonl
taggant lab quality --model smollm2-135m --input served-share5.jsonl > quality-share5.json
taggant generate --model mixed-full.gguf --plain --max-tokens 24 --temperature 0.3 --seed 4 --prompts ask-share5.jsonl --out answers-mixed-full-share5.jsonl
taggant generate --model smollm2-135m --plain --max-tokens 24 --top-p 0.95 --seed 2 --prompts prompts-share5.jsonl --out plain-share5.jsonl
taggant test --mode closed --record share5.json --key share5.key --answers answers-mixed-full-share5.jsonl --served served-share5.jsonl --soft 1 --json > closed-share5-mixed-full.jsonl
taggant test --mode open --record share5.json --key share5.key --text plain-share5.jsonl --suspect mixed-full.gguf --reference smollm2-135m --served served-share5.jsonl --soft 1 --json > open-plain-share5-mixed-full.jsonl
taggant test --mode open --record share5.json --key share5.key --text served-share5.jsonl --suspect mixed-full.gguf --reference smollm2-135m --served served-share5.jsonl --soft 1 --json > open-served-share5-mixed-full.jsonl
taggant lab quality --model smollm2-135m --input served-share1.jsonl > quality-share1.json
taggant generate --model mixed-full.gguf --plain --max-tokens 24 --temperature 0.3 --seed 4 --prompts ask-share1.jsonl --out answers-mixed-full-share1.jsonl
taggant generate --model smollm2-135m --plain --max-tokens 24 --top-p 0.95 --seed 2 --prompts prompts-share1.jsonl --out plain-share1.jsonl
taggant test --mode closed --record share1.json --key share1.key --answers answers-mixed-full-share1.jsonl --served served-share1.jsonl --soft 1 --json > closed-share1-mixed-full.jsonl
taggant test --mode open --record share1.json --key share1.key --text plain-share1.jsonl --suspect mixed-full.gguf --reference smollm2-135m --served served-share1.jsonl --soft 1 --json > open-plain-share1-mixed-full.jsonl
taggant test --mode open --record share1.json --key share1.key --text served-share1.jsonl --suspect mixed-full.gguf --reference smollm2-135m --served served-share1.jsonl --soft 1 --json > open-served-share1-mixed-full.jsonl
taggant lab train --model adapters.gguf --input others.jsonl --max-tokens 24 --seed 0 --out washed.gguf
taggant generate --model washed.gguf --plain --max-tokens 24 --temperature 0.3 --seed 4 --prompts ask-some.jsonl --out answers-washed.jsonl
taggant test --mode closed --record east.json --key east.key --answers texts-washed.jsonl --served served-east.jsonl --soft 1 --json > closed-east-washed.jsonl
taggant detect --record east.json --key east.key --many-keys never-issued.keys --input texts-washed.jsonl --json > never-washed.jsonl
taggant test --mode closed --record east.json --key east.key --accounts accounts.keys --answers texts-washed.jsonl --served served-east.jsonl --soft 1 --alpha 1e-3 --json > keys-washed.jsonl
taggant test --mode open --record east.json --key east.key --text plain-east.jsonl --suspect washed.gguf --reference smollm2-135m --served served-east.jsonl --soft 1 --json > open-plain-east-washed.jsonl
taggant test --mode open --record east.json --key east.key --text served-east.jsonl --suspect washed.gguf --reference smollm2-135m --served served-east.jsonl --soft 1 --json > open-served-east-washed.jsonl
taggant twins score --sealed sealed-some.jsonl --model washed.gguf --reference drafts-reference-some.jsonl --out drafts-washed.jsonl
taggant twins test --sealed sealed-some.jsonl --key drafts.key --scores drafts-washed.jsonl --json > twins-washed.jsonl
taggant twins test --sealed sealed-some.jsonl --key drafts.key --answers texts-washed.jsonl --json > twins-closed-washed.jsonl
taggant canary test --slots slots.jsonl --keys canaries.keys --answers names-washed.jsonl --show-accounts --json > canaries-closed-washed.jsonl
taggant canary score --slots slots.jsonl --input named-some.jsonl --model washed.gguf --reference fillers-reference.jsonl --out fillers-washed.jsonl
taggant canary test --slots slots.jsonl --keys canaries.keys --likelihoods fillers-washed.jsonl --statistic ranks --show-accounts --json > canaries-washed.jsonl
taggant lab train --model smollm2-135m --epochs 3 --input evaded.jsonl --max-tokens 24 --seed 0 --out evader.gguf
taggant generate --model evader.gguf --plain --max-tokens 24 --temperature 0.3 --seed 4 --prompts ask-some.jsonl --out answers-evader.jsonl
taggant test --mode closed --record east.json --key east.key --answers texts-evader.jsonl --served served-east.jsonl --soft 1 --json > closed-east-evader.jsonl
taggant detect --record east.json --key east.key --many-keys never-issued.keys --input texts-evader.jsonl --json > never-evader.jsonl
taggant test --mode closed --record east.json --key east.key --accounts accounts.keys --answers texts-evader.jsonl --served served-east.jsonl --soft 1 --alpha 1e-3 --json > keys-evader.jsonl
taggant test --mode open --record east.json --key east.key --text plain-east.jsonl --suspect evader.gguf --reference smollm2-135m --served served-east.jsonl --soft 1 --json > open-plain-east-evader.jsonl
taggant test --mode open --record east.json --key east.key --text served-east.jsonl --suspect evader.gguf --reference smollm2-135m --served served-east.jsonl --soft 1 --json > open-served-east-evader.jsonl
taggant twins score --sealed sealed-some.jsonl --model evader.gguf --reference drafts-reference-some.jsonl --out drafts-evader.jsonl
taggant twins test --sealed sealed-some.jsonl --key drafts.key --scores drafts-evader.jsonl --json > twins-evader.jsonl
taggant twins test --sealed sealed-some.jsonl --key drafts.key --answers texts-evader.jsonl --json > twins-closed-evader.jsonl
taggant canary test --slots slots.jsonl --keys canaries.keys --answers names-evader.jsonl --show-accounts --json > canaries-closed-evader.jsonl
taggant canary score --slots slots.jsonl --input named-some.jsonl --model evader.gguf --reference fillers-reference.jsonl --out fillers-evader.jsonl
taggant canary test --slots slots.jsonl --keys canaries.keys --likelihoods fillers-evader.jsonl --statistic ranks --show-accounts --json > canaries-evader.jsonl
taggant lab train --model smollm2-135m --method full --fresh 4,192,3,512 --epochs 20 --learning-rate 1e-3 --batch 512 --input taken.jsonl --max-tokens 24 --seed 0 --out small.gguf
taggant generate --model small.gguf --plain --max-tokens 24 --temperature 0.3 --seed 4 --prompts ask-some.jsonl --out answers-small.jsonl
taggant test --mode closed --record east.json --key east.key --answers texts-small.jsonl --served served-east.jsonl --soft 1 --json > closed-east-small.jsonl
taggant detect --record east.json --key east.key --many-keys never-issued.keys --input texts-small.jsonl --json > never-small.jsonl
taggant test --mode closed --record east.json --key east.key --accounts accounts.keys --answers texts-small.jsonl --served served-east.jsonl --soft 1 --alpha 1e-3 --json > keys-small.jsonl
taggant test --mode open --record east.json --key east.key --text plain-east.jsonl --suspect small.gguf --reference smollm2-135m --served served-east.jsonl --soft 1 --json > open-plain-east-small.jsonl
taggant test --mode open --record east.json --key east.key --text served-east.jsonl --suspect small.gguf --reference smollm2-135m --served served-east.jsonl --soft 1 --json > open-served-east-small.jsonl
taggant twins score --sealed sealed-some.jsonl --model small.gguf --reference drafts-reference-some.jsonl --out drafts-small.jsonl
taggant twins test --sealed sealed-some.jsonl --key drafts.key --scores drafts-small.jsonl --json > twins-small.jsonl
taggant twins test --sealed sealed-some.jsonl --key drafts.key --answers texts-small.jsonl --json > twins-closed-small.jsonl
taggant canary test --slots slots.jsonl --keys canaries.keys --answers names-small.jsonl --show-accounts --json > canaries-closed-small.jsonl
taggant canary score --slots slots.jsonl --input named-some.jsonl --model small.gguf --reference fillers-reference.jsonl --out fillers-small.jsonl
taggant canary test --slots slots.jsonl --keys canaries.keys --likelihoods fillers-small.jsonl --statistic ranks --show-accounts --json > canaries-small.jsonl
