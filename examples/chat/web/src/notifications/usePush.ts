import { useEffect, useState } from 'react'
import { useChat } from '../state/context'
import { pushOn, pushPossible, turnOff, turnOn } from './push'

/** Whether this browser is notified, and how to change that. */
export function usePush() {
  const chat = useChat()
  const key = chat.session.push_key
  const [on, setOn] = useState(false)
  useEffect(() => {
    pushOn().then(setOn, () => undefined)
  }, [])
  const toggle = async (): Promise<string> => {
    const told = on ? await turnOff() : await turnOn(key)
    setOn(await pushOn().catch(() => false))
    return told
  }
  return { possible: key !== '' && pushPossible(), on, toggle }
}
